/** Random bytes from the kernel. Not node:crypto: loading it at run time costs milliseconds. */
import { closeSync, openSync, readSync } from 'node:fs';

/** `bytes` (at most 256, which the kernel never cuts short) random bytes in lower-case hex, twice as many characters. */
export function randomHex(bytes: number): string {
  const buffer = Buffer.alloc(bytes);
  const fd = openSync('/dev/urandom', 'r');
  try {
    if (readSync(fd, buffer) !== bytes) throw new RangeError(`cannot read ${bytes} bytes from /dev/urandom`);
  } finally {
    closeSync(fd);
  }
  return buffer.toString('hex');
}
