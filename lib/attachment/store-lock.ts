/** The lease lock: the reference's file and the reference's flock(2), so that both can work on one network's folder. */
import { withLock } from '../linux/lock.ts';
import { LOCK_FILE } from './lease-store.ts';
import type { Store } from './store.ts';

const DEADLINE_MS = 30_000;

/** Lets a SIGTERM be seen while waiting. */
export interface Checkpoints {
  checkpoint(): Promise<void>;
}

/**
 * Runs `action` with the store locked. Never twice in one process, a second lock would wait for the first, and never
 * around a child, which may want it. Throws code 5, or 11 naming the file, its holder and the wait.
 */
export function withStoreLock<T>(store: Store, host: Checkpoints, action: () => Promise<T>): Promise<T> {
  const options = { mode: 0o750, deadlineMs: DEADLINE_MS, checkpoint: () => host.checkpoint() };
  return withLock(`${store.leases}/${LOCK_FILE}`, options, action);
}
