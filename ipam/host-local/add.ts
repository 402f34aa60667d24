/** ADD: one address per range set, all under one lock; on failure, exactly what this call reserved is released. */
import { type CniError, code } from '../../lib/cni/errors.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import type { IpConfig, Result } from '../../lib/cni/result.ts';
import { transaction } from '../../lib/cni/transaction.ts';
import { parseIp } from '../../lib/net/ip.ts';
import { readResolvConf } from '../../lib/net/resolv-conf.ts';
import { type Allocation, allocationError, type Candidate, candidates, planAllocations } from './allocate.ts';
import { readCursor, writeCursor } from './cursor.ts';
import {
  createStore,
  findLeases,
  leaseNames,
  type Owner,
  readLease,
  release,
  reserve,
  type Store,
  storeAt,
} from './lease-store.ts';
import { formatSet, rangeFor, sizeOf } from './ranges.ts';
import { type Config, parseConfigWithRanges, parseLocation } from './schema.ts';
import { withStoreLock } from './store-lock.ts';

/** Throws code 4, 5, 7, 11, 100, 101 or 105. */
export async function add(call: Call): Promise<Result> {
  const config = parseConfigWithRanges(call.config, call.args);
  const store = storeAt(parseLocation(call.config), call.host.warn);
  const dns = config.resolvConf === '' ? {} : readResolvConf(config.resolvConf);
  createStore(store);
  const ips = await withStoreLock(store, call, () => reserveAll(call, config, store));
  return { interfaces: [], ips, routes: config.routes, dns };
}

function reserveAll(call: Call, { sets, requested }: Config, store: Store): Promise<IpConfig[]> {
  const { exact, byContainer } = findLeases(store, call);
  const { containerId } = call;
  const plan = planAllocations({ sets, requested, containerId, leases: [...exact, ...byContainer] });
  return transaction(call.host, async (tx) => {
    const ips: IpConfig[] = [];
    for (const allocation of plan) {
      const { ip, range } = await tx.step(() => allocate(store, allocation, call));
      tx.onFailure(`release ${ip.text}`, () => release(store, [ip.text]));
      writeCursor(store, allocation.index, ip);
      ips.push({ address: `${ip.text}/${range.subnet.prefix}`, gateway: range.gateway.text });
    }
    return ips;
  });
}

function allocate(store: Store, allocation: Allocation, owner: Owner): Candidate {
  const last = readCursor(store, allocation.index);
  const candidate = reserve(store, candidates(allocation, last), owner);
  if (candidate !== undefined) return candidate;
  throw allocation.requested === undefined
    ? exhausted(store, allocation)
    : taken(store, allocation, allocation.requested);
}

function taken(store: Store, { index, set }: Allocation, { ip }: Candidate): CniError {
  const [containerId = '', ifname = ''] = (readLease(store, ip.text) ?? '').trim().split('\r\n');
  const holder = containerId === '' ? 'something that is no lease' : `container ${containerId} ${ifname}`.trim();
  return allocationError(code.conflict, index, {
    message: `requested IP address ${ip.text} is not available in range set ${formatSet(set)}`,
    details: `${store.leases}/${ip.text} is held by ${holder.slice(0, 300)}`,
  });
}

function exhausted(store: Store, { index, set }: Allocation): CniError {
  const total = sizeOf(set);
  const used = leaseNames(store).filter((name) => {
    const ip = parseIp(name);
    return ip !== undefined && rangeFor(set, ip) !== undefined;
  }).length;
  return allocationError(code.exhausted, index, {
    message: `no IP addresses available in range set: ${formatSet(set)}`,
    details:
      `${total} addresses in all, ${used} leased in ${store.leases}; ` +
      'enlarge the range, or release what containers that are gone left there',
  });
}
