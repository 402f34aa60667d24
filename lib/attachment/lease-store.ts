/**
 * Leases on disk: one file per address in the network's folder, byte for byte as the reference writes them, so that
 * either side can release the other's. Everything that writes is for the holder of the lock (./store-lock.ts).
 */
import { linkSync, lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { combineErrors, hasErrno, messageOf } from '../cni/errors.ts';
import { noteWork } from '../journal/observer.ts';
import { ioError } from '../linux/io-error.ts';
import { readSmallFile } from '../linux/small-file.ts';
import type { Ip } from '../net/ip.ts';
import { type Draft, removeDraft } from './draft.ts';
import type { Owner, Store } from './store.ts';

export const LOCK_FILE = 'lock';
export const CURSOR_PREFIX = 'last_reserved_ip.';

/** A lease is shorter by far; anything larger is none. */
const MAX_LEASE_BYTES = 1024;

/** A lease file as it was seen: the numbers tell whether it is still the same one. */
export interface SeenLease {
  /** Its name: an address, where it is a lease at all. */
  readonly name: string;
  readonly inode: string;
  readonly mtimeNs: string;
  readonly ctimeNs: string;
  /** Whose; the interface is '' in the format of old versions. `undefined` for garbage. */
  readonly owner: Owner | undefined;
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

/** The lease called `name`; `undefined` when there is no regular file by that name. */
export function seeLease(store: Store, name: string): SeenLease | undefined {
  const stat = lstatSync(`${store.leases}/${name}`, { bigint: true, throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile()) return undefined;
  const owner = parseLease(readLease(store, name));
  return { name, owner, inode: `${stat.ino}`, mtimeNs: `${stat.mtimeNs}`, ctimeNs: `${stat.ctimeNs}` };
}

/** True when the file is the one that was seen, untouched. */
export function isUnchanged(store: Store, seen: SeenLease): boolean {
  const now = seeLease(store, seen.name);
  if (now === undefined || now.inode !== seen.inode || now.ctimeNs !== seen.ctimeNs) return false;
  return now.owner?.containerId === seen.owner?.containerId && now.owner?.ifname === seen.owner?.ifname;
}

/** `containerID` CR LF `ifname`, or the ID alone, as old versions wrote it; white space around it does not count. */
export function parseLease(text: string | undefined): Owner | undefined {
  const [, containerId, ifname = ''] =
    /^([a-zA-Z0-9][\w.-]*)(?:\r\n([^\s/:\0]{1,15}))?$/.exec(text?.trim() ?? '') ?? [];
  return containerId === undefined ? undefined : { containerId, ifname };
}

export function leaseText({ containerId, ifname }: Owner): string {
  return `${containerId}\r\n${ifname}`;
}

/** True when the lease file called `name` is of `owner`, in either format. */
export function isLeaseOf(store: Store, name: string, owner: Owner): boolean {
  const content = readLease(store, name)?.trim();
  return content === leaseText(owner) || content === owner.containerId;
}

/**
 * Leases the first free one of `candidates` by giving `draft` its name; `undefined` when all are taken. link(2) fails
 * where a name exists, and a lease appears whole or not at all. `mayReclaim` decides about garbage that has the name.
 * Throws code 5 and leaves nothing behind.
 */
export function reserve<T extends { readonly ip: Ip }>(
  store: Store,
  candidates: Iterable<T>,
  { draft, mayReclaim }: { readonly draft: Draft; readonly mayReclaim: (name: string) => boolean },
): T | undefined {
  try {
    for (const candidate of candidates) {
      if (!claim(store, candidate.ip.text, { draft, mayReclaim })) continue;
      removeDraft(draft);
      return candidate;
    }
    return undefined;
  } catch (error) {
    throw ioError('write a lease in', store.leases, error);
  }
}

type Claim = Parameters<typeof reserve>[2];

function claim(store: Store, name: string, { draft, mayReclaim }: Claim): boolean {
  const path = `${store.leases}/${name}`;
  // Looking first is not for safety, link(2) decides: a refused link costs an exception, thousands in a full range.
  const taken = lstatSync(path, { throwIfNoEntry: false });
  if (taken !== undefined) {
    // Other garbage waits for the sweep: reading every lease on the way would cost too much.
    if (!taken.isFile() || taken.size > 0 || !mayReclaim(name)) return false;
    // The lock is ours, so nobody is about to fill it in: its writer died between creating and writing.
    store.warn(`reclaiming ${path}: an empty lease belongs to nobody`);
    unlinkSync(path);
  }
  try {
    linkSync(draft.path, path);
    return true;
  } catch (error) {
    if (hasErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

/** Deletes lease files, all that can be, and throws code 5 with everything that could not; a missing one is none. */
export function release(store: Store, names: readonly string[]): void {
  if (names.length > 0) noteWork(`release ${names.join(', ')}`);
  const errors = names.flatMap((name) => unlinkError(`${store.leases}/${name}`) ?? []);
  if (errors.length > 0) throw combineErrors(errors);
}

function unlinkError(path: string) {
  try {
    // Looking first: an exception costs more, and a second DEL meets nothing else.
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) unlinkSync(path);
    return undefined;
  } catch (error) {
    return hasErrno(error, 'ENOENT') ? undefined : ioError('delete the lease', path, error);
  }
}
