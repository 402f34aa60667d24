/** CHECK: looks, changes nothing, and creates no folder. */
import { findLeases } from '../../lib/attachment/find.ts';
import { isLeaseOf } from '../../lib/attachment/lease-store.ts';
import { type Owner, type Store, storeAt, storeExists } from '../../lib/attachment/store.ts';
import { CniError, code } from '../../lib/cni/errors.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import { prevResult } from '../../lib/cni/prev-result.ts';
import { type Ip, parseCidr } from '../../lib/net/ip.ts';
import { rangeFor } from './ranges.ts';
import { parseConfigWithRanges, parseLocation } from './schema.ts';

/**
 * The attachment has a lease, and one for every address of `prevResult` that lies in our ranges. Without the lock: no
 * lease of this attachment is being written now. Throws code 103, 7 and 5.
 */
export async function check(call: Call): Promise<void> {
  const { sets } = parseConfigWithRanges(call.config, call.args);
  const store = storeAt(parseLocation(call.config), call.host.warn);
  const missing = missingLease(store, call);
  if (missing !== undefined) throw missing;
  for (const { address } of prevResult(call.config)?.ips ?? []) {
    const ip = parseCidr(address)?.ip;
    if (ip === undefined || sets.every((set) => rangeFor(set, ip) === undefined)) continue;
    requireLease(store, ip, call);
  }
}

function missingLease(store: Store, owner: Owner): CniError | undefined {
  const { exact, byContainer } = storeExists(store)
    ? findLeases(store, owner, { canWrite: false })
    : { exact: [], byContainer: [] };
  if (exact.length > 0 || byContainer.length > 0) return undefined;
  const message = `host-local: Failed to find address added by container ${owner.containerId}`;
  return new CniError(code.checkFailed, message, {
    details: `no lease of its interface ${owner.ifname} in ${store.leases}`,
  });
}

function requireLease(store: Store, ip: Ip, owner: Owner): void {
  if (isLeaseOf(store, ip.text, owner)) return;
  throw new CniError(code.checkFailed, `the lease of ${ip.text} is missing or not of container ${owner.containerId}`, {
    details: `${store.leases}/${ip.text} should hold this container's ID and ${owner.ifname}`,
  });
}
