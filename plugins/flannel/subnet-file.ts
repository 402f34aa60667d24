/** Reading subnet.env: what its absence means, and waiting for it. */
import { CniError, code, hasErrno } from '../../lib/cni/errors.ts';
import type { Host } from '../../lib/cni/plugin.ts';
import { noteStep } from '../../lib/journal/observer.ts';
import { sinceBootMs } from '../../lib/linux/boot.ts';
import { ioError } from '../../lib/linux/io-error.ts';
import { readSmallFile } from '../../lib/linux/small-file.ts';
import { parseSubnetEnv, type SubnetEnv } from './subnet-env.ts';

const MAX_BYTES = 64 * 1024;
const PAUSE_MS = 100;

/** Throws code 11 while the file at `path` is missing or half-written, 5 when it cannot be read, 7 for a bad value. */
export function readSubnetFile(path: string): SubnetEnv {
  const text = readText(path);
  try {
    const env = parseSubnetEnv(text);
    if (!('missing' in env)) return env;
    throw notReady(`${path} is missing ${env.missing.join(', ')}`);
  } catch (error) {
    if (error instanceof CniError && error.code === code.invalidConfig) throw badFile(path, error);
    throw error;
  }
}

/** The same after at most `waitMs`, in which flanneld may come up. Throws code 105 as well. */
export async function awaitSubnetFile(path: string, waitMs: number, host: Host): Promise<SubnetEnv> {
  const deadlineMs = sinceBootMs() + waitMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return readSubnetFile(path);
    } catch (error) {
      const isLate = sinceBootMs() >= deadlineMs;
      if (isLate || !(error instanceof CniError) || error.code !== code.tryAgainLater) throw error;
    }
    if (attempt === 1) noteStep(`wait for ${path}`);
    await host.checkpoint();
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

function readText(path: string): string {
  let text: string | undefined;
  try {
    text = readSmallFile(path, { maxBytes: MAX_BYTES, follow: true });
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) throw notReady(`open ${path}: no such file or directory`);
    throw ioError('read flannel\'s "subnet.env"', path, error);
  }
  if (text !== undefined) return text;
  throw new CniError(code.ioFailure, `cannot read flannel's "subnet.env" "${path}": it is no file of a few lines`);
}

/** In the original's words, which people search for. */
function notReady(why: string): CniError {
  return new CniError(
    code.tryAgainLater,
    `failed to load flannel 'subnet.env' file: ${why}. Check the flannel pod log for this node.`,
    {
      details: [
        'flanneld writes this file when it has leased a subnet for this node: it is not running, not ready yet, or writes elsewhere (see "subnetFile")',
        "look: kubectl -n kube-flannel get pods -o wide; kubectl -n kube-flannel logs POD, with this node's pod (or: journalctl -u flanneld)",
        '"subnetFileWaitMs" makes ADD wait for it',
      ].join('; '),
    },
  );
}

function badFile(path: string, cause: CniError): CniError {
  return new CniError(cause.code, `failed to load flannel 'subnet.env' file: ${path}: ${cause.message}`, {
    details:
      'flanneld writes this file whole: somebody else changed it; restart flanneld on this node to have it written anew',
    cause,
  });
}
