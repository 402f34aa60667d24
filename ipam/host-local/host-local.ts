/** host-local: IP address management from ranges in the configuration, with leases on this host's disk (README.md). */
import type { Call, Plugin } from '../../lib/cni/plugin.ts';
import { add } from './add.ts';
import { check, status } from './check.ts';
import { findLeases, release, storeAt, storeExists } from './lease-store.ts';
import { parseLocation } from './schema.ts';
import { withStoreLock } from './store-lock.ts';

export const hostLocal: Plugin = { name: 'host-local', add, check, del, gc, status };

/**
 * Releases every lease of the attachment, wherever it lies: the ranges may be others by now, or come with ADD only. No
 * folder, no lease: success. Throws code 5, 7 and 11.
 */
async function del(call: Call): Promise<void> {
  const store = storeAt(parseLocation(call.config), call.host.warn);
  if (!storeExists(store)) return;
  await withStoreLock(store, call, async () => {
    const { exact, byContainer } = findLeases(store, call);
    release(store, exact.length > 0 ? exact : byContainer);
  });
}

/** Not built yet: as with the reference, success without touching anything. */
async function gc(): Promise<void> {}
