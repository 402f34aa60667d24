/**
 * Whether a container lives that left no record of ours but rules, by what else it may have left: a lease, an entry in the
 * runtime's result cache, an address in some namespace. Only where all of it says the same can anybody tell.
 */
import { readdirSync } from 'node:fs';
import { hasErrno } from '../cni/errors.ts';
import { DEFAULT_MIN_AGE_MS } from './collect.ts';
import { seeLease } from './lease-store.ts';
import type { Judgement } from './liveness.ts';
import { visibleNamespaces } from './namespaces.ts';
import { observe } from './observe.ts';
import { silentAddresses } from './probe.ts';
import { type CachedSandbox, cachedDataDirs, cachedNetworks, cachedSandbox } from './result-cache.ts';
import { DEFAULT_DATA_DIR, type Store, storeAt } from './store.ts';
import { judgeHolders } from './sweep.ts';

export interface Stranger {
  /** '' where it cannot be told. */
  readonly network: string;
  readonly containerId: string;
  /** Canonical: where its rules send to. */
  readonly addresses: readonly string[];
}

/** What is seen of it. */
export interface Sight {
  /** `dead` for leases that are shown to be nobody's any more. */
  readonly lease: 'there' | 'dead' | 'none';
  readonly sandbox: CachedSandbox;
  /** Whether a namespace has one of its addresses, or something answers for it; `undefined` when that cannot be told. */
  readonly hasAddress: boolean | undefined;
}

/** Pure. */
export function judgeSight({ lease, sandbox, hasAddress }: Sight): Judgement {
  if (sandbox === 'alive' || hasAddress === true) {
    return lease === 'there'
      ? { verdict: 'alive', why: 'it has a lease, and its sandbox or address is there' }
      : { verdict: 'unknown', why: 'it has no lease, but its sandbox or address is there' };
  }
  if (sandbox === 'unknown' || hasAddress === undefined) {
    return { verdict: 'unknown', why: 'whether its sandbox is there cannot be told' };
  }
  switch (lease) {
    case 'none':
      return { verdict: 'dead', why: 'it has neither record nor lease, and its sandbox and address are gone' };
    case 'dead':
      return { verdict: 'dead', why: 'its lease is of an earlier boot, and its sandbox and address are gone' };
    case 'there':
      return { verdict: 'unknown', why: 'it has a lease, but its sandbox and address are gone' };
  }
}

/** Looks into all namespaces of the host, and asks on the wire where it cannot. */
export function judgeStranger(stranger: Stranger, warn: Store['warn']): Judgement {
  const { containerId, addresses } = stranger;
  const networks = networksOf(stranger);
  const sandboxes = networks.map((network) => cachedSandbox(network, { containerId, ifname: '' }));
  const sandbox =
    sandboxes.find((state) => state === 'alive') ?? sandboxes.find((state) => state === 'unknown') ?? 'none';
  const hasAddress = isAnyThere(addresses);
  const stores = networks.flatMap((network) =>
    [DEFAULT_DATA_DIR, ...cachedDataDirs(network, containerId)].map((dataDir) => storeAt({ dataDir, network }, warn)),
  );
  return judgeSight({ lease: leaseOf(stranger, stores), sandbox, hasAddress });
}

/** A name from a rule's comment becomes part of a path. */
function networksOf({ network, containerId }: Stranger): string[] {
  const candidates = network === '' ? [...cachedNetworks(containerId), ...leasedNetworks()] : [network];
  return [...new Set(candidates)].filter((name) => /^[a-zA-Z0-9][\w.-]*$/.test(name));
}

function leasedNetworks(): string[] {
  try {
    return readdirSync(DEFAULT_DATA_DIR);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

function isAnyThere(addresses: readonly string[]): boolean | undefined {
  const visible = visibleNamespaces();
  if (visible !== undefined) return addresses.some((address) => visible.addresses.has(address));
  try {
    const silent = silentAddresses(addresses);
    return addresses.some((address) => !silent.has(address));
  } catch {
    // Without ip nobody can be asked.
    return undefined;
  }
}

function leaseOf({ containerId, addresses }: Stranger, stores: readonly Store[]): Sight['lease'] {
  const found = stores.flatMap((store) =>
    addresses
      .filter((address) => seeLease(store, address)?.owner?.containerId === containerId)
      .map((address) => ({ store, address })),
  );
  if (found.length === 0) return 'none';
  const judged = found.flatMap(({ store, address }) =>
    judgeHolders(store, [address], observe(store, { minAgeMs: DEFAULT_MIN_AGE_MS })),
  );
  return judged.every(({ verdict }) => verdict === 'dead') ? 'dead' : 'there';
}
