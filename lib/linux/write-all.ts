/** Writing to a descriptor that somebody else made and may have set to non-blocking. */
import { writeSync } from 'node:fs';
import { hasErrno } from '../cni/errors.ts';

/** Pause while a pipe or terminal is full. */
const FULL_PAUSE_MS = 2;

/** Writes all of `text` to `fd`; false when nobody reads any more. */
export function writeAll(fd: number, text: string): boolean {
  const bytes = Buffer.from(text);
  let offset = 0;
  while (offset < bytes.length) {
    try {
      offset += writeSync(fd, bytes, offset);
    } catch (error) {
      if (!hasErrno(error, 'EAGAIN')) return false;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, FULL_PAUSE_MS);
    }
  }
  return true;
}
