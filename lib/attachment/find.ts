/** The leases of one attachment. */
import { parseCidr } from '../net/ip.ts';
import { indexedLeases, isSeen, rebuildIndex } from './index.ts';
import { leaseNames, leaseText, readLease } from './lease-store.ts';
import { readRecord, recordName } from './record.ts';
import type { Owner, Store } from './store.ts';

/** Names of lease files, sorted. */
export interface OwnedLeases {
  readonly exact: readonly string[];
  /** Written by old versions with the container's ID alone: of any of its interfaces. */
  readonly byContainer: readonly string[];
}

export interface Hints {
  /** Addresses (with or without prefix length) that the runtime says the attachment has. */
  readonly addresses?: readonly string[];
  /** Whether a full look may leave its index: for the holder of the lease lock. */
  readonly canWrite: boolean;
}

/**
 * The leases of `owner`, each one checked by content; all leases are read only when somebody else changed the folder
 * since our last change. Unreadable files are warned of, links and folders passed over. Throws code 5.
 */
export function findLeases(store: Store, owner: Owner, hints: Hints): OwnedLeases {
  return sortOut(store, owner, candidateNames(store, owner, hints));
}

function candidateNames(store: Store, owner: Owner, { addresses = [], canWrite }: Hints): Iterable<string> {
  if (!isSeen(store)) return canWrite ? rebuildIndex(store, owner) : leaseNames(store);
  const recorded = recordedNames(store, owner);
  const indexed = indexedLeases(store, owner);
  if (recorded === undefined || indexed === undefined) return leaseNames(store);
  const told = addresses.map((text) => parseCidr(text)?.ip.text ?? '');
  return new Set([...recorded, ...indexed, ...told].filter((name) => name !== ''));
}

/** `undefined` when there is a record that does not say which: it was damaged, or its ADD did not come that far. */
function recordedNames(store: Store, owner: Owner): string[] | undefined {
  const read = readRecord(store, recordName(owner));
  if (read === 'none') return [];
  if (typeof read === 'string') return undefined;
  const names = read.record.leases.map(({ address }) => address);
  return names.includes('') ? undefined : names;
}

function sortOut(store: Store, owner: Owner, names: Iterable<string>): OwnedLeases {
  const exact: string[] = [];
  const byContainer: string[] = [];
  for (const name of names) {
    const content = readLease(store, name)?.trim();
    if (content === leaseText(owner)) exact.push(name);
    else if (content === owner.containerId) byContainer.push(name);
  }
  return { exact: exact.sort(), byContainer: byContainer.sort() };
}
