/**
 * The lock of this host's ports: held from looking whose a port is until the rules that lead it elsewhere are written.
 * Locks are taken in this order: bridge, leases, host ports, xtables.
 */
import { shareWithChildren } from '../exec.ts';
import { withLock } from '../linux/lock.ts';
import { createStateFolder, STATE_FOLDER } from './port-record-store.ts';
import type { Checkpoints } from './store-lock.ts';

/** Somebody may wait for the xtables lock meanwhile, once for each family. */
const DEADLINE_MS = 60_000;

/**
 * Runs `action` with the host's ports locked. Its children hold the lock, too: one that outlives a killed call may be
 * about to write rules. Never twice in one process. Throws code 5, or 11 naming the file, its holder and the wait.
 */
export function withPortLock<T>(host: Checkpoints, action: () => Promise<T>): Promise<T> {
  createStateFolder();
  const options = { mode: 0o600, deadlineMs: DEADLINE_MS, checkpoint: () => host.checkpoint() };
  return withLock(`${STATE_FOLDER}/lock`, options, async (fd) => {
    const unshare = shareWithChildren(fd);
    try {
      return await action();
    } finally {
      unshare();
    }
  });
}
