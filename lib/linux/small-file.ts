/** Reading small files whose folder others write to as well: no device or FIFO is waited for, no size is trusted. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

export interface SmallFileOptions {
  readonly maxBytes: number;
  /** Whether a symbolic link may lead to the file; if not, one throws ELOOP. */
  readonly follow: boolean;
}

/** The text of the file, `undefined` when it is no regular file or larger than `maxBytes`. Throws system errors. */
export function readSmallFile(path: string, { maxBytes, follow }: SmallFileOptions): string | undefined {
  const noFollow = follow ? 0 : constants.O_NOFOLLOW;
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | noFollow);
  try {
    const stat = fstatSync(fd);
    return stat.isFile() && stat.size <= maxBytes ? readFileSync(fd, 'utf8') : undefined;
  } finally {
    closeSync(fd);
  }
}
