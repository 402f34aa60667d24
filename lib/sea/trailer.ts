/** The last 48 bytes of our executable: a mark and the build id, so that any process can tell a copy of itself. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';

const mark = 'nodecni-build-id';
const idLength = 32;

/** Bytes to read from the end of a file for `readTrailer`. */
export const trailerLength = mark.length + idLength;

export function trailerOf(buildId: string): string {
  if (!/^[0-9a-f]{32}$/.test(buildId)) throw new RangeError(`cannot mark the executable with build id "${buildId}"`);
  return mark + buildId;
}

/** The build id in a file's last `trailerLength` bytes, given as latin1 text; undefined when it is no file of ours. */
export function readTrailer(tail: string): string | undefined {
  if (tail.length !== trailerLength || !tail.startsWith(mark)) return undefined;
  const id = tail.slice(mark.length);
  return /^[0-9a-f]+$/.test(id) ? id : undefined;
}

/** The build id of the executable at `path`; undefined when it is none of ours, cannot be read, or is not there. */
export function readBuildId(path: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    // Whoever wants to execute it sees what that says.
    return undefined;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return undefined;
    const tail = Buffer.alloc(trailerLength);
    readSync(fd, tail, 0, trailerLength, Math.max(0, stat.size - trailerLength));
    return readTrailer(tail.toString('latin1'));
  } finally {
    closeSync(fd);
  }
}
