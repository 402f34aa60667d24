/** Files whose writer holds the flock(2) while what they describe is being made: until then nobody collects them. */
import { closeSync, constants, fstatSync, openSync, rmSync, statSync } from 'node:fs';
import { LOCK_EX, LOCK_SH, tryFlock } from './libc.ts';

/**
 * A new file beside `path`, to be renamed to it: locked before it gets its place, so that none is ever seen without the
 * lock while its writer is at work. Throws system errors.
 */
export function openLockedDraft(path: string): { fd: number; draft: string } {
  for (;;) {
    const draft = `${path}.${process.pid}.${process.hrtime.bigint()}`;
    const fd = openSync(draft, 'wx', 0o600);
    if (tryFlock(fd, LOCK_EX) && fstatSync(fd).nlink > 0) return { fd, draft };
    // Somebody who removes drafts of the dead came between the two.
    closeSync(fd);
    rmSync(draft, { force: true });
  }
}

/** True when the file is in the hands of its writer, which may also have replaced it just now. */
export function isLocked(path: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    // Gone, or no file of ours.
    return false;
  }
  try {
    return !tryFlock(fd, LOCK_SH) || fstatSync(fd).ino !== statSync(path, { throwIfNoEntry: false })?.ino;
  } finally {
    closeSync(fd);
  }
}
