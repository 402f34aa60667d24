/** Which entries of the result cache outlived their attachments. They hold no address, so only `cnictl gc` looks at them. */
import type { VisibleNamespaces } from '../../lib/attachment/namespaces.ts';
import type { CacheEntry } from '../../lib/libcni/cache-list.ts';

/** Whose address or record is known; an interface of '' may be any of the container's. */
interface Known {
  readonly containerId: string;
  readonly ifname: string;
  readonly addresses: readonly string[];
}

export interface Surroundings {
  /** Attachments that are (to be) freed. */
  readonly freed: readonly Known[];
  /** All others of the network. */
  readonly kept: readonly Known[];
  /** Whether the cache lies on a file system of this machine alone. */
  readonly isLocal: boolean;
  /** Whether the path leads to a network namespace; `undefined` when that cannot be told. */
  isNamespace(path: string): boolean | undefined;
  /** `undefined` where /proc does not show everything. */
  namespaces(): VisibleNamespaces | undefined;
}

export interface StaleResult {
  readonly entry: CacheEntry;
  readonly why: string;
}

/** Those of `entries` that go. Pure. */
export function findStale(entries: readonly CacheEntry[], surroundings: Surroundings): StaleResult[] {
  return entries.flatMap((entry) => {
    const why = proofFor(entry, surroundings);
    return why === undefined ? [] : [{ entry, why }];
  });
}

function proofFor(entry: CacheEntry, surroundings: Surroundings): string | undefined {
  const isOf = (known: Known) =>
    known.containerId === entry.containerId && (known.ifname === '' || known.ifname === entry.ifname);
  if (surroundings.kept.some(isOf)) return undefined;
  if (surroundings.freed.some(isOf)) return 'its attachment is dead';
  return isForgotten(entry, surroundings)
    ? 'no lease, no sandbox and no namespace with its address is left'
    : undefined;
}

/** An attachment that nothing else knows: freed in another way than by DEL, which takes the entry along. */
function isForgotten({ sandboxes, addresses }: CacheEntry, surroundings: Surroundings): boolean {
  if (!surroundings.isLocal || addresses.length === 0) return false;
  if (sandboxes.some((path) => surroundings.isNamespace(path) !== false)) return false;
  const visible = surroundings.namespaces();
  if (visible === undefined) return false;
  // Who was given the address since has it rightly.
  const givenAgain = new Set(surroundings.kept.flatMap((known) => known.addresses));
  return addresses.every((address) => givenAgain.has(address) || !visible.addresses.has(address));
}
