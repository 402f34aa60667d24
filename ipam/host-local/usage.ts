/** How full a range set is, in numbers and in words. */
import { describeHolder } from '../../lib/attachment/describe.ts';
import { leaseNames, seeLease } from '../../lib/attachment/lease-store.ts';
import type { Store } from '../../lib/attachment/store.ts';
import { parseIp } from '../../lib/net/ip.ts';
import { type RangeSet, rangeFor, sizeOf } from './ranges.ts';

export interface Usage {
  readonly total: bigint;
  /** Names of the set's leases. */
  readonly leased: readonly string[];
  readonly free: bigint;
}

/** `undefined` where there are fewer leases than addresses, which needs no closer look. Throws code 5. */
export function usageIfFull(store: Store, set: RangeSet): Usage | undefined {
  const names = leaseNames(store);
  if (BigInt(names.length) < sizeOf(set)) return undefined;
  const usage = usageOf(set, names);
  return usage.free > 0n ? undefined : usage;
}

/** Pure. A lease of a gateway's address, which the set never gives, does not count. */
export function usageOf(set: RangeSet, names: readonly string[]): Usage {
  const total = sizeOf(set);
  const leased = names.filter((name) => isOf(set, name));
  const free = total - BigInt(leased.length);
  return { total, leased, free: free < 0n ? 0n : free };
}

/** True when the set could give the address that `name` is. */
export function isOf(set: RangeSet, name: string): boolean {
  const ip = parseIp(name);
  const range = ip === undefined ? undefined : rangeFor(set, ip);
  return ip !== undefined && range !== undefined && range.gateway.value !== ip.value;
}

const OLDEST = 3;

/** `reclaimable`: how many are known to be dead and still there. */
export function describeUsage(store: Store, { total, leased, free }: Usage, reclaimable: number): string {
  const seen = leased.flatMap((name) => seeLease(store, name) ?? []);
  const oldest = seen.sort((one, two) => Number(one.mtimeNs) - Number(two.mtimeNs)).slice(0, OLDEST);
  return [
    `${total} addresses in all, ${leased.length} leased in ${store.leases}, ${free} free, ${reclaimable} reclaimable`,
    ...(oldest.length === 0 ? [] : [`oldest: ${oldest.map((lease) => describeHolder(store, lease)).join(', ')}`]),
    `"cnictl leases ${store.network}" shows them all`,
  ].join('; ');
}
