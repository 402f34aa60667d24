/** A /proc whose every process can be looked into, for the proofs that need one. */

import { readdirSync, readlinkSync } from 'node:fs';
import { must } from './process.ts';

/**
 * Where the machine's own sandbox keeps even root from looking into a process (of more privileges than it gave us),
 * that one is hidden altogether until the result is disposed of: plugins would rightly find nobody dead. It has
 * nothing to do with any test. On other machines nothing happens.
 */
export async function seeAllProcesses(): Promise<AsyncDisposable> {
  const hidden = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && isClosed(name));
  for (const pid of hidden) await must(['mount', '-t', 'tmpfs', 'tmpfs', `/proc/${pid}`]);
  return {
    [Symbol.asyncDispose]: async () => {
      for (const pid of hidden) await must(['umount', `/proc/${pid}`]);
    },
  };
}

function isClosed(pid: string): boolean {
  try {
    readlinkSync(`/proc/${pid}/ns/net`);
    return false;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EACCES';
  }
}
