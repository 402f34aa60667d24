/** Network namespaces by path: which a path leads to, and running code inside one (network_namespaces(7)). */
import { closeSync, fstatSync, openSync, statfsSync, statSync } from 'node:fs';
import { CniError, code, hasErrno, messageOf } from '../cni/errors.ts';
import { setNetns } from './libc.ts';

/** statfs(2) magics of a namespace file: a bind mount or /proc/PID/ns/net (nsfs), or procfs on old kernels. */
const NSFS_MAGIC = 0x6e736673;
const PROC_MAGIC = 0x9fa0;

const OWN = '/proc/self/ns/net';

export type NetnsState = 'netns' | 'absent' | 'other';

/** What `path` leads to: a network namespace, nothing, or something else (a stale file where one was mounted). */
export function netnsState(path: string): NetnsState {
  if (path === '') return 'absent';
  try {
    const { type } = statfsSync(path);
    return type === NSFS_MAGIC || type === PROC_MAGIC ? 'netns' : 'other';
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return 'absent';
    throw netnsError(path, messageOf(error), error);
  }
}

/** Throws code 8 unless `path` leads to a network namespace; says what to look at. */
export function requireNetns(path: string): void {
  const state = netnsState(path);
  if (state === 'netns') return;
  throw netnsError(path, state === 'absent' ? 'no such file or directory' : 'it is no network namespace');
}

/** True when `path` leads to the namespace that this process is in. A path that cannot be looked at is not. */
export function isOwnNetns(path: string): boolean {
  const own = statSync(OWN, { throwIfNoEntry: false });
  if (own === undefined)
    throw new CniError(code.invalidNetns, "get plugin's netns failed", { details: `cannot read ${OWN}` });
  const other = statOrUndefined(path);
  return other !== undefined && other.dev === own.dev && other.ino === own.ino;
}

function statOrUndefined(path: string) {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    // Not readable for us: not ours, since our own is.
    return undefined;
  }
}

/**
 * Runs `action` inside the namespace at `path`: its /proc/sys/net, its /proc/net, and every child it starts. It must
 * be synchronous: the whole thread is inside. Throws code 8.
 */
export function inNetns<T>(path: string, action: () => T): T {
  const home = openSync(OWN, 'r');
  try {
    const away = openNetns(path);
    try {
      setNetns(away);
    } finally {
      closeSync(away);
    }
    try {
      return action();
    } finally {
      setNetns(home);
    }
  } finally {
    closeSync(home);
  }
}

function openNetns(path: string): number {
  requireNetns(path);
  try {
    const fd = openSync(path, 'r');
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
  } catch (error) {
    throw netnsError(path, messageOf(error), error);
  }
  throw netnsError(path, 'it is no network namespace');
}

function netnsError(path: string, state: string, cause?: unknown): CniError {
  return new CniError(code.invalidNetns, `failed to open netns ${JSON.stringify(path)}: ${state}`, {
    details: 'CNI_NETNS must be the path of a network namespace, as in /run/netns/NAME or /proc/PID/ns/net',
    cause,
  });
}
