/** STATUS: whether this host can give an address. Looks, changes nothing, and creates no folder. */
import { accessSync, constants, statSync } from 'node:fs';
import { posix } from 'node:path';
import { type Store, storeAt, storeExists } from '../../lib/attachment/store.ts';
import { CniError, code, messageOf } from '../../lib/cni/errors.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import { formatSet, type RangeSet } from './ranges.ts';
import { describeFull, reclaimableIn } from './recover.ts';
import { parseConfig, parseLocation, type Recovery } from './schema.ts';
import { usageIfFull } from './usage.ts';

/**
 * An ADD could write its lease: the network's folder, or the nearest one above it that exists, is a writable folder. A
 * range without a free address is warned of, and with `"statusOnExhaustion": "error"` it is code 50: a runtime may make
 * the node unready of that, and then pods that live are evicted. It comes without runtimeConfig, so ranges may be missing.
 */
export async function status(call: Call): Promise<void> {
  const { sets, recovery } = parseConfig(call.config, call.args);
  const store = storeAt(parseLocation(call.config), call.host.warn);
  requireWritable(store);
  if (!storeExists(store)) return;
  for (const set of sets) tellIfFull(store, set, recovery);
}

function tellIfFull(store: Store, set: RangeSet, { minAgeMs, reclaim, statusOnExhaustion }: Recovery): void {
  if (usageIfFull(store, set) === undefined) return;
  const reclaimable = reclaimableIn(store, set, minAgeMs);
  const message = `no IP addresses available in range set: ${formatSet(set)}`;
  const details = describeFull(store, set, reclaimable);
  // The next ADD makes room by itself.
  const isStuck = reclaimable === 0 || !reclaim;
  if (isStuck && statusOnExhaustion === 'error') throw new CniError(code.pluginNotAvailable, message, { details });
  store.warn(`host-local: ${store.network}: ${message}; ${details}`);
}

function requireWritable({ leases }: Store): void {
  try {
    const folder = nearestExisting(leases);
    if (!statSync(folder).isDirectory()) throw new Error(`${folder} is no folder`);
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new CniError(
      code.pluginNotAvailable,
      `cannot write leases in ${JSON.stringify(leases)}: ${messageOf(error)}`,
      {
        details: 'set "ipam.dataDir" to a folder on a writable file system',
        cause: error,
      },
    );
  }
}

function nearestExisting(path: string): string {
  return statSync(path, { throwIfNoEntry: false }) === undefined ? nearestExisting(posix.dirname(path)) : path;
}
