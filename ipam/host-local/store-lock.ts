/** The lease lock: the reference's file and the reference's flock(2), so that both can work on one network's folder. */
import type { Call } from '../../lib/cni/plugin.ts';
import { withLock } from '../../lib/linux/lock.ts';
import { LOCK_FILE, type Store } from './lease-store.ts';

const DEADLINE_MS = 30_000;

/** Runs `action` with the store locked, for a whole verb: a second lock inside would wait for itself. Throws code 5, 11. */
export function withStoreLock<T>(store: Store, { host }: Pick<Call, 'host'>, action: () => Promise<T>): Promise<T> {
  const options = { mode: 0o750, deadlineMs: DEADLINE_MS, checkpoint: () => host.checkpoint() };
  return withLock(`${store.leases}/${LOCK_FILE}`, options, action);
}
