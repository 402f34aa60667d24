/**
 * The resource that --build-sea puts into the executable, as an ELF note.
 *
 * Layout (node 26): magic, flags (32 bits each), one byte each for execArgvExtension and mainFormat, the length of the main
 * script's path and the path, the length of the snapshot and the snapshot, then execArgv. Lengths are 64 bits, little endian.
 */

const noteName = Buffer.from('NODE_SEA_BLOB\0\0\0', 'latin1');
const magic = 0x0143da20;
/** Magic, flags, and the bytes for execArgvExtension and mainFormat. */
const headLength = 10;
const numberLength = 8;
/** Lengths of name and contents and the type, 32 bits each, stand before a note's name. */
const contentsLengthBeforeName = 8;

/**
 * Replaces the snapshot inside the executable's image, in place, by what `change` makes of it; it may not grow. What
 * follows moves up and zeros fill the rest, so that nothing else in the file has to know.
 */
export function changeSnapshot(image: Buffer, change: (snapshot: Buffer) => Buffer): void {
  const resource = findResource(image);
  const lengthOffset = snapshotLengthOffset(resource);
  const begin = lengthOffset + numberLength;
  const end = begin + lengthAt(resource, lengthOffset);
  const changed = change(Buffer.from(resource.subarray(begin, end)));
  const rest = Buffer.from(resource.subarray(end));
  if (changed.length > end - begin) throw new Error('cannot replace the snapshot: the new one is larger');
  resource.writeBigUInt64LE(BigInt(changed.length), lengthOffset);
  changed.copy(resource, begin);
  rest.copy(resource, begin + changed.length);
  resource.fill(0, begin + changed.length + rest.length);
}

/** The runtime's own code also holds the note's name, so the magic has to follow. */
function findResource(image: Buffer): Buffer {
  for (let name = image.indexOf(noteName); name >= 0; name = image.indexOf(noteName, name + 1)) {
    const begin = name + noteName.length;
    if (image.readUInt32LE(begin) !== magic) continue;
    return image.subarray(begin, begin + image.readUInt32LE(name - contentsLengthBeforeName));
  }
  throw new Error('cannot find the single-executable resource: the runtime has another layout');
}

function snapshotLengthOffset(resource: Buffer): number {
  return headLength + numberLength + lengthAt(resource, headLength);
}

function lengthAt(resource: Buffer, offset: number): number {
  const length = offset + numberLength <= resource.length ? resource.readBigUInt64LE(offset) : undefined;
  if (length === undefined || length > resource.length - offset - numberLength) {
    throw new Error('cannot read the single-executable resource: the runtime has another layout');
  }
  return Number(length);
}
