/**
 * Whose the leases are, without reading them all: what stood in the folder at the last full look (`owners`), and how the
 * folder itself looked after our last change (`folder-seen`). While it still looks so, nobody else added or removed a
 * lease: a lease is then known by its record or by `owners`. The clock's granularity does not matter, since we set the
 * folder's time ourselves, to one that no other change would give it. Both files are only hints, checked by content.
 */
import { closeSync, constants, fstatSync, openSync, readSync, statSync, unlinkSync, utimesSync } from 'node:fs';
import { randomHex } from '../linux/random.ts';
import { readSmallFile } from '../linux/small-file.ts';
import { replaceFile, sweepDrafts } from './draft.ts';
import { leaseNames, parseLease, readLease } from './lease-store.ts';
import { createRecordFolder, type Owner, type Store } from './store.ts';

const SEEN = 'folder-seen';
const OWNERS = 'owners';
const MAX_SEEN_BYTES = 256;

/** True when nobody but us touched the folder since markSeen(). Throws nothing: in doubt it was touched. */
export function isSeen(store: Store): boolean {
  try {
    return readSmallFile(`${store.drafts}/${SEEN}`, { maxBytes: MAX_SEEN_BYTES, follow: false }) === looksOf(store);
  } catch {
    // Never looked, or damaged.
    return false;
  }
}

/** Inode, time of change that we set, and the one that nobody can set. */
function looksOf({ leases }: Store): string {
  const { dev, ino, mtimeNs, ctimeNs } = statSync(leases, { bigint: true });
  return `${dev} ${ino} ${mtimeNs} ${ctimeNs}`;
}

/**
 * After a change of ours, under the lease lock, when the folder was seen before it. A failure costs a full look next
 * time and nothing else.
 */
export function markSeen(store: Store): void {
  try {
    // Some seconds ago, so that no change of this moment has the same time, with digits that no other call of ours has.
    const at = Date.now() / 1000 - 10 - Number.parseInt(randomHex(3), 16) / 0x1000000;
    utimesSync(store.leases, at, at);
    replaceFile(store, `${store.drafts}/${SEEN}`, looksOf(store));
  } catch {
    forgetSeen(store);
  }
}

/** The next verb looks at every lease. */
function forgetSeen(store: Store): void {
  try {
    unlinkSync(`${store.drafts}/${SEEN}`);
  } catch {
    // It was not there; and where it cannot be removed, it does not fit the changed folder either.
  }
}

/**
 * One full look, under the lease lock: reads every lease and writes `owners`, if it can. Names of the container's leases.
 * Throws code 5.
 */
export function rebuildIndex(store: Store, { containerId }: Pick<Owner, 'containerId'>): string[] {
  const found = leaseNames(store).flatMap((name) => {
    const owner = parseLease(readLease(store, name));
    return owner === undefined ? [] : [{ name, containerId: owner.containerId }];
  });
  try {
    createRecordFolder(store);
    sweepDrafts(store);
    replaceFile(store, `${store.drafts}/${OWNERS}`, renderOwners(found));
  } catch {
    // A full disk or a read-only one: then the next verb looks at everything, too.
    forgetSeen(store);
  }
  return found.filter((lease) => lease.containerId === containerId).map(({ name }) => name);
}

/** Names of the leases that the container had at the last full look; `undefined` when there was none. */
export function indexedLeases(store: Store, { containerId }: Pick<Owner, 'containerId'>): string[] | undefined {
  try {
    const fd = openSync(`${store.drafts}/${OWNERS}`, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      return fstatSync(fd).isFile() ? findOwned(containerId, (start, size) => readPart(fd, start, size)) : undefined;
    } finally {
      closeSync(fd);
    }
  } catch {
    // None yet, or damaged: everything is looked at.
    return undefined;
  }
}

function readPart(fd: number, start: number, size: number): Buffer {
  const part = Buffer.alloc(size);
  return part.subarray(0, readSync(fd, part, 0, size, start));
}

/** With twenty thousand leases the index is a megabyte and more; a container's bucket is some kilobytes of it. */
const BUCKETS = 256;
/** Each bucket's start as decimal text, and behind the last one the end. */
const NUMBER_LENGTH = 12;
const HEAD_LENGTH = (BUCKETS + 1) * NUMBER_LENGTH;

interface OwnedLease {
  readonly name: string;
  readonly containerId: string;
}

/** Where the buckets begin, then the buckets: lines of container ID and lease. Pure. */
export function renderOwners(leases: readonly OwnedLease[]): Buffer {
  const buckets = Array.from({ length: BUCKETS }, (): string[] => ['']);
  for (const { name, containerId } of leases) buckets[bucketOf(containerId)]?.push(`${containerId} ${name}`);
  const bodies = buckets.map((lines) => Buffer.from(`${lines.join('\n')}\n`));
  let start = HEAD_LENGTH;
  const starts: number[] = [];
  for (const { length } of bodies) {
    starts.push(start);
    start += length;
  }
  const head = [...starts, start].map((number) => String(number).padStart(NUMBER_LENGTH)).join('');
  return Buffer.concat([Buffer.from(head), ...bodies]);
}

/** The names under `containerId`; `undefined` when what `read` gives is damaged. Pure but for `read`. */
export function findOwned(containerId: string, read: (start: number, size: number) => Buffer): string[] | undefined {
  const at = bucketOf(containerId) * NUMBER_LENGTH;
  const [, start, end] = /^ *(\d+) *(\d+)$/.exec(read(at, 2 * NUMBER_LENGTH).toString('latin1')) ?? [];
  const size = Number(end) - Number(start);
  if (!(size >= 1 && size < MAX_BUCKET_BYTES)) return undefined;
  const text = read(Number(start), size).toString('utf8');
  if (!text.startsWith('\n') || !text.endsWith('\n') || Buffer.byteLength(text) !== size) return undefined;
  const key = `${containerId} `;
  const lines = text.split('\n').filter((line) => line.startsWith(key));
  return lines.map((line) => line.slice(key.length));
}

const MAX_BUCKET_BYTES = 64 * 1024 * 1024;

/** FNV-1a: which bucket is no secret, and a slow hash of twenty thousand names would be felt. */
function bucketOf(containerId: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < containerId.length; at++) hash = Math.imul(hash ^ containerId.charCodeAt(at), 0x01000193);
  return (hash >>> 24) % BUCKETS;
}
