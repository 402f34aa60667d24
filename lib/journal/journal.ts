/**
 * The journal of the last calls: always on, in memory (/run), so that one can see afterwards what a call did, how long it
 * took and where one that was killed had got to. A line when a call begins, one before each step and child, one at its
 * end; they mix with other calls' lines and are put together by ./read.ts. Nothing here waits or throws.
 *
 * Bounded: a segment that is full is renamed over the older one. At most 2 × (512 KiB + 8 KiB per call that is running).
 */
import { closeSync, fstatSync, ftruncateSync, lstatSync, mkdirSync, renameSync } from 'node:fs';
import { basename } from 'node:path';
import { RUN_FOLDER } from '../attachment/run-folder.ts';
import type { CniError } from '../cni/errors.ts';
import { LOCK_EX, tryFlock } from '../linux/libc.ts';
import type { Head } from './head.ts';
import { appendLine, clip, openLineFile } from './line-file.ts';
import type { Span } from './timeline.ts';

/** The segment that is written to, and the one before it. */
export const SEGMENTS: readonly [string, string] = [`${RUN_FOLDER}/journal`, `${RUN_FOLDER}/journal.1`];

/** A call that finds a segment of this size makes the next one. */
export const FULL_BYTES = 384 * 1024;
/** In a segment of this size no call begins: the next one could not be made. */
export const MAX_SEGMENT_BYTES = 512 * 1024;
/** What one call may write, and how much of that is kept for its last line. */
export const MAX_CALL_BYTES = 8 * 1024;
const LAST_LINE_BYTES = 6 * 1024;

const MAX_STEP = 100;
const MAX_CHILDREN = 12;
const MAX_SENTENCE = 300;

export interface End {
  readonly ms: number;
  readonly error: CniError | undefined;
  readonly children: readonly Span[];
}

/** What opens the segment to write to, `undefined` where there is no room; it may throw. */
export type OpenSegment = () => number | undefined;

/** The lines of one call. */
export class JournalEntry {
  readonly #open: OpenSegment;
  readonly #call: string;
  #fd: number | undefined;
  #leftBytes = MAX_CALL_BYTES;
  #hasBegun = false;

  constructor(open: OpenSegment, atMs: number) {
    this.#open = open;
    this.#call = `${process.pid}-${atMs}`;
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** What is told before it is lost. */
  begin(head: Head, atMs: number): void {
    this.#hasBegun = true;
    this.#attempt(() => {
      this.#fd = this.#open();
      const { plugin, verb, network, containerId, ifname } = head;
      this.#append({ at: atMs, pid: process.pid, plugin, verb, network, containerId, ifname });
    });
  }

  step(what: string, atMs: number): void {
    if (this.#leftBytes <= LAST_LINE_BYTES) return;
    this.#attempt(() => this.#append({ step: clip(what, MAX_STEP), ms: atMs }));
  }

  end({ ms, error, children }: End): void {
    const shown = children.slice(0, MAX_CHILDREN).map(shortened);
    this.#attempt(() => this.#append({ ms, ...outcomeOf(error), children: shown }));
  }

  #append(line: object): void {
    if (this.#fd === undefined) return;
    const text = JSON.stringify({ call: this.#call, ...line });
    this.#leftBytes -= Buffer.byteLength(text) + 1;
    if (this.#leftBytes >= 0) appendLine(this.#fd, text);
  }

  #attempt(action: () => void): void {
    try {
      action();
    } catch {
      // A full disk, a read-only /run, something else by that name: the call goes on without its journal.
      this.#fd = undefined;
    }
  }
}

/** Its whole command line stands in the step before it. */
function shortened({ what, ms, ending }: Span): object {
  const tool = clip(basename(what.split(' ', 1)[0] ?? ''), MAX_STEP);
  return { tool, ms, ...(ending === '0' ? {} : { ending }) };
}

function outcomeOf(error: CniError | undefined): object {
  if (error === undefined) return { code: 0 };
  return { code: error.code, msg: clip(error.message, MAX_SENTENCE), details: clip(error.details, MAX_SENTENCE) };
}

/** The end of the process closes it. `undefined` where there is no room. Throws system errors. */
export function openSegment(): number | undefined {
  const fd = openInFolder();
  const { size } = fstatSync(fd);
  if (size < FULL_BYTES) return fd;
  makeRoom(fd);
  closeSync(fd);
  const next = openInFolder();
  return fstatSync(next).size < MAX_SEGMENT_BYTES ? next : undefined;
}

function openInFolder(): number {
  const [path] = SEGMENTS;
  try {
    return openLineFile(path);
  } catch {
    // Most likely the first call of this boot.
    mkdirSync(RUN_FOLDER, { recursive: true, mode: 0o700 });
    return openLineFile(path);
  }
}

/** By whoever holds the lock of the full segment; the others go on in it. Throws system errors. */
function makeRoom(fd: number): void {
  const [path, older] = SEGMENTS;
  if (!tryFlock(fd, LOCK_EX)) return;
  // Renamed before the lock was ours.
  if (lstatSync(path).ino !== fstatSync(fd).ino) return;
  try {
    renameSync(path, older);
  } catch {
    // Something that cannot be replaced has that name.
    ftruncateSync(fd);
  }
}
