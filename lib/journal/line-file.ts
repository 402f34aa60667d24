/** Files that many processes append lines to at the same time: a regular file, O_APPEND, each line one write(2). */
import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';

const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * Opens `path`, created for its owner alone; the end of the process closes it. No symbolic link is followed and no FIFO
 * waited for. Throws system errors, and where something else than a regular file is.
 */
export function openLineFile(path: string): number {
  const fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw new Error('it is no regular file');
}

/** Throws system errors, also where the disk took only a part. */
export function appendLine(fd: number, line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  if (writeSync(fd, bytes) !== bytes.length) throw new Error('not all of the line could be written');
}

/** Nearly every text. The other pattern takes longer to compile than a call may spend on its journal. */
const PLAIN = /^[ -~]*$/;

/** At most `length` characters of `text`, without line breaks and what else a terminal or a log would obey. */
export function clip(text: string, length: number): string {
  const cut = text.length > length ? `${text.slice(0, length - 1)}…` : text;
  return PLAIN.test(cut) ? cut : cut.replace(/\p{C}/gu, ' ');
}
