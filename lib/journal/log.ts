/**
 * The log of `logFile`, for people: a line per finished call and warning, at `debug` per step and child. Opened anew by
 * every call, so that logrotate may rename the file at any time. What goes wrong with it is told once and fails nothing.
 */
import { messageOf } from '../cni/errors.ts';
import type { Head } from './head.ts';
import { appendLine, clip, openLineFile } from './line-file.ts';
import { isWanted, type Level, type Settings } from './settings.ts';

/** A batch of a thousand ports is no line for people any more. */
const MAX_TEXT = 4000;

export class Log {
  readonly #path: string;
  readonly #threshold: Level;
  readonly #complain: (message: string) => void;
  /** `undefined` until the first line, and after a failure. */
  #fd: number | undefined;
  #hasFailed = false;

  constructor({ logFile, logLevel }: Settings, complain: (message: string) => void) {
    this.#path = logFile;
    this.#threshold = logLevel;
    this.#complain = complain;
  }

  wants(level: Level): boolean {
    return this.#path !== '' && !this.#hasFailed && isWanted(level, this.#threshold);
  }

  write(level: Level, head: Head, text: string): void {
    if (!this.wants(level)) return;
    try {
      this.#fd ??= openLineFile(this.#path);
      appendLine(this.#fd, renderLogLine({ atMs: Date.now(), pid: process.pid, level, head, text }));
    } catch (error) {
      this.#hasFailed = true;
      this.#complain(`cannot write to the log file ${JSON.stringify(this.#path)}: ${messageOf(error)}`);
    }
  }
}

export interface LogLine {
  readonly atMs: number;
  readonly pid: number;
  readonly level: Level;
  readonly head: Head;
  readonly text: string;
}

/** `2026-01-31T12:00:00.123Z info bridge[4711] ADD mynet/4f1b7c/eth0: done in 43.1 ms` */
export function renderLogLine({ atMs, pid, level, head, text }: LogLine): string {
  const { plugin, verb, network, containerId, ifname } = head;
  const subject = [network, containerId, ifname].filter((word) => word !== '').join('/');
  const words = [new Date(atMs).toISOString(), level, `${plugin}[${pid}]`, verb, subject];
  const shown = words.filter((word) => word !== '').join(' ');
  return `${clip(shown, MAX_TEXT)}: ${clip(text, MAX_TEXT)}`;
}
