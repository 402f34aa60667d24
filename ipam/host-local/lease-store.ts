/**
 * Leases on disk: one file per address in the network's folder, byte for byte as the reference writes them, so that
 * either side can release the other's. Everything that writes is for the holder of the lock (./store-lock.ts).
 */
import { linkSync, lstatSync, mkdirSync, readdirSync, statSync, unlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { combineErrors, hasErrno, messageOf } from '../../lib/cni/errors.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import { ioError } from '../../lib/linux/io-error.ts';
import { readSmallFile } from '../../lib/linux/small-file.ts';
import type { Ip } from '../../lib/net/ip.ts';
import { withDraft } from './draft.ts';

export interface StoreLocation {
  /** Absolute path. */
  readonly dataDir: string;
  readonly network: string;
}

export interface Store {
  /** The network's folder: leases, `lock` and `last_reserved_ip.N`. The reference reads every file in it. */
  readonly leases: string;
  /** Same file system as a rule, but outside that folder; a network cannot be called so. */
  readonly drafts: string;
  readonly warn: (message: string) => void;
}

/** One interface of one container. */
export type Owner = Pick<Call, 'containerId' | 'ifname'>;

/** Names of lease files, sorted. */
export interface OwnedLeases {
  readonly exact: readonly string[];
  /** Written by old versions with the container's ID alone: of any of its interfaces. */
  readonly byContainer: readonly string[];
}

export const LOCK_FILE = 'lock';
export const CURSOR_PREFIX = 'last_reserved_ip.';

/** A lease is shorter by far; anything larger is none. */
const MAX_LEASE_BYTES = 1024;

export function storeAt({ dataDir, network }: StoreLocation, warn: Store['warn']): Store {
  return { leases: posix.join(dataDir, network), drafts: posix.join(dataDir, '.nodecni', network), warn };
}

/** Creates the folders of the store. Throws code 5. */
export function createStore(store: Store): void {
  for (const [folder, mode] of [
    [store.leases, 0o755],
    [store.drafts, 0o700],
  ] as const) {
    try {
      mkdirSync(folder, { recursive: true, mode });
    } catch (error) {
      throw ioError('create the folder', folder, error);
    }
  }
}

/** False when the network has no folder, and therefore no leases. Throws code 5. */
export function storeExists(store: Store): boolean {
  try {
    return statSync(store.leases, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch (error) {
    if (hasErrno(error, 'ENOTDIR')) return false;
    throw ioError('look at the folder', store.leases, error);
  }
}

/** The leases of `owner`. Unreadable files are warned of, links and folders passed over. Throws code 5. */
export function findLeases(store: Store, owner: Owner): OwnedLeases {
  const exact: string[] = [];
  const byContainer: string[] = [];
  for (const name of leaseNames(store)) {
    const content = readLease(store, name)?.trim();
    if (content === leaseText(owner)) exact.push(name);
    else if (content === owner.containerId) byContainer.push(name);
  }
  return { exact, byContainer };
}

/** Names of the files that may be leases, sorted. Throws code 5. */
export function leaseNames(store: Store): string[] {
  try {
    return readdirSync(store.leases, { withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name !== LOCK_FILE && !entry.name.startsWith(CURSOR_PREFIX))
      .map(({ name }) => name)
      .sort();
  } catch (error) {
    throw ioError('read the folder', store.leases, error);
  }
}

/** The content of a lease file, `undefined` when it is gone, unreadable or no lease file at all. */
export function readLease(store: Store, name: string): string | undefined {
  const path = `${store.leases}/${name}`;
  try {
    return readSmallFile(path, { maxBytes: MAX_LEASE_BYTES, follow: false });
  } catch (error) {
    if (!hasErrno(error, 'ENOENT', 'ELOOP')) store.warn(`cannot read the lease ${path}: ${messageOf(error)}`);
    return undefined;
  }
}

/** True when the lease file called `name` is of `owner`, in either format. */
export function isLeaseOf(store: Store, name: string, owner: Owner): boolean {
  const content = readLease(store, name)?.trim();
  return content === leaseText(owner) || content === owner.containerId;
}

/**
 * Leases the first free one of `candidates` (walked again when need be) to `owner`; `undefined` when all are taken.
 * The lease appears whole or not at all: written elsewhere, then linked into place, which fails where a name exists.
 * Throws code 5 and leaves nothing behind.
 */
export function reserve<T extends { readonly ip: Ip }>(
  store: Store,
  candidates: Iterable<T>,
  owner: Owner,
): T | undefined {
  try {
    return withDraft(store, leaseText(owner), (draft) => {
      for (const candidate of candidates) if (claim(store, candidate.ip.text, draft)) return candidate;
      return undefined;
    });
  } catch (error) {
    throw ioError('write a lease in', store.leases, error);
  }
}

function claim(store: Store, name: string, draft: string): boolean {
  const path = `${store.leases}/${name}`;
  // Looking first is not for safety, link(2) decides: a refused link costs an exception, thousands in a full range.
  const taken = lstatSync(path, { throwIfNoEntry: false });
  if (taken !== undefined) {
    if (!taken.isFile() || taken.size > 0) return false;
    // The lock is ours, so nobody is about to fill it in: its writer died between creating and writing.
    store.warn(`reclaiming ${path}: an empty lease belongs to nobody`);
    unlinkSync(path);
  }
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (hasErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Deletes lease files, all that can be, and throws code 5 with everything that could not; a missing one is none. */
export function release(store: Store, names: readonly string[]): void {
  const errors = names.flatMap((name) => unlinkError(`${store.leases}/${name}`) ?? []);
  if (errors.length > 0) throw combineErrors(errors);
}

function unlinkError(path: string) {
  try {
    unlinkSync(path);
    return undefined;
  } catch (error) {
    return hasErrno(error, 'ENOENT') ? undefined : ioError('delete the lease', path, error);
  }
}

function leaseText({ containerId, ifname }: Owner): string {
  return `${containerId}\r\n${ifname}`;
}
