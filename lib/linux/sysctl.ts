/** Kernel settings under /proc/sys, by slash names: `net/ipv4/conf/eth0.5/forwarding` (dots belong to the name). */
import { readFileSync, writeFileSync } from 'node:fs';
import { CniError, code, hasErrno, messageOf } from '../cni/errors.ts';

const ROOT = '/proc/sys';

/** The value without its line end; `undefined` when the kernel has no such setting. Throws code 5. */
export function readSysctl(name: string): string | undefined {
  const path = pathOf(name);
  try {
    return readFileSync(path, 'utf8').trimEnd();
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw sysctlError('read', name, error);
  }
}

/**
 * Sets `name` to `value`, in the network namespace of this thread; true when it was something else before. Reading
 * first spares hosts where /proc/sys is read-only but right. Throws code 5.
 */
export function writeSysctl(name: string, value: string): boolean {
  if (readSysctl(name) === value) return false;
  try {
    writeFileSync(pathOf(name), value);
    return true;
  } catch (error) {
    throw sysctlError(`set to ${JSON.stringify(value)}`, name, error);
  }
}

/** A name from outside must not lead out of /proc/sys. */
function pathOf(name: string): string {
  const parts = name.split('/');
  if (name.includes('\0') || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new CniError(code.invalidConfig, `cannot use ${JSON.stringify(name)} as the name of a sysctl`, {
      details: 'it must look like net/ipv4/ip_forward',
    });
  }
  return `${ROOT}/${name}`;
}

function sysctlError(action: string, name: string, cause: unknown): CniError {
  return new CniError(code.ioFailure, `cannot ${action} the sysctl "${name}": ${messageOf(cause)}`, {
    details: `the plugin needs write access to ${ROOT}/${name} (run it as root, with /proc/sys mounted read-write)`,
    cause,
  });
}
