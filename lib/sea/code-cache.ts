/**
 * The list that ends a startup snapshot: compiled code of the runtime's internal modules. It is half of what each start
 * copies, and all modules that a plugin needs are in the snapshot's heap already, but for a few that it loads at run time.
 *
 * Layout (node 26): count, then per entry the length of the id, the id, the length of the data, the data; up to the
 * snapshot's very end. All numbers are 64 bits, little endian.
 */

export interface CodeCache {
  /** Where the list begins in the snapshot. */
  readonly start: number;
  readonly entries: readonly CodeCacheEntry[];
}

export interface CodeCacheEntry {
  readonly id: string;
  /** The whole entry as it stands in the list. */
  readonly bytes: Buffer;
}

const numberLength = 8;
/** No internal module has a longer id, and the runtime has some 440 of them: enough to tell a count from noise. */
const longestId = 100;
const entryCounts = { least: 100, most: 2000 };

/** Nothing in the snapshot says where the list begins, but only from there do its entries end where the snapshot ends. */
export function findCodeCache(snapshot: Buffer): CodeCache {
  for (let start = 0; start < snapshot.length - 2 * numberLength; start++) {
    if (!mayBeStart(snapshot, start)) continue;
    const entries = readEntries(snapshot, start);
    if (entries !== undefined) return { start, entries };
  }
  throw new Error(
    'cannot prune the snapshot: it does not end with a list of code caches, the runtime has another layout',
  );
}

/** The snapshot with only the code caches of modules in `keep`, all of which must be there. */
export function pruneCodeCache(snapshot: Buffer, keep: ReadonlySet<string>): Buffer {
  const { start, entries } = findCodeCache(snapshot);
  const kept = entries.filter(({ id }) => keep.has(id));
  if (kept.length !== keep.size) {
    throw new Error(
      `cannot prune the snapshot: of ${[...keep].join(', ')} it has only ${kept.map(({ id }) => id).join(', ')}`,
    );
  }
  const count = Buffer.alloc(numberLength);
  count.writeBigUInt64LE(BigInt(kept.length));
  return Buffer.concat([snapshot.subarray(0, start), count, ...kept.map(({ bytes }) => bytes)]);
}

/** Cheap enough to be asked at each of eight million places. */
function mayBeStart(snapshot: Buffer, start: number): boolean {
  const count = snapshot.readUInt32LE(start);
  if (count < entryCounts.least || count > entryCounts.most || snapshot.readUInt32LE(start + 4) !== 0) return false;
  return snapshot.readBigUInt64LE(start + numberLength) <= longestId;
}

function readEntries(snapshot: Buffer, start: number): readonly CodeCacheEntry[] | undefined {
  const entries: CodeCacheEntry[] = [];
  let offset = start + numberLength;
  for (let left = snapshot.readUInt32LE(start); left > 0; left--) {
    const entry = readEntry(snapshot, offset);
    if (entry === undefined) return undefined;
    entries.push(entry);
    offset += entry.bytes.length;
  }
  return offset === snapshot.length ? entries : undefined;
}

function readEntry(snapshot: Buffer, offset: number): CodeCacheEntry | undefined {
  const id = readBlock(snapshot, offset);
  if (id === undefined || id.length > longestId || !/^[\w/.-]+$/.test(id.toString('latin1'))) return undefined;
  const data = readBlock(snapshot, offset + numberLength + id.length);
  if (data === undefined) return undefined;
  const length = 2 * numberLength + id.length + data.length;
  return { id: id.toString('latin1'), bytes: snapshot.subarray(offset, offset + length) };
}

/** A length and that many bytes; undefined when they reach beyond the end. */
function readBlock(snapshot: Buffer, offset: number): Buffer | undefined {
  const begin = offset + numberLength;
  if (begin > snapshot.length) return undefined;
  const length = snapshot.readBigUInt64LE(offset);
  return length <= snapshot.length - begin ? snapshot.subarray(begin, begin + Number(length)) : undefined;
}
