/**
 * flock(2) on a file with a deadline, for locks that other programs take too (the reference's host-local blocks on the
 * same file). Polled, not blocked: a signal is seen while it waits, and the error can say who holds it.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { CniError, code } from '../cni/errors.ts';
import { noteWork } from '../journal/observer.ts';
import { ioError } from './io-error.ts';
import { LOCK_EX, LOCK_SH, tryFlock } from './libc.ts';
import { readSmallFile } from './small-file.ts';

export interface LockOptions {
  /** Of the file, where this call creates it (less the umask). */
  readonly mode: number;
  /** With other shared holders, against exclusive ones. */
  readonly isShared?: boolean;
  readonly deadlineMs: number;
  /** Called between two attempts; what it throws ends the wait. */
  readonly checkpoint: () => Promise<void>;
}

const FIRST_PAUSE_MS = 1;
/** Two hundred waiters that wake too often leave the holder no processor. */
const LONGEST_PAUSE_MS = 100;

/**
 * Runs `action` while holding the exclusive lock of the file at `path`, created when missing. Never take one lock twice
 * and start no child inside that may take it: a second descriptor waits for the first, even in one process. `action` gets
 * the descriptor that holds it. Throws code 5, or 11 when the lock was not free within the deadline.
 */
export async function withLock<T>(path: string, options: LockOptions, action: (fd: number) => Promise<T>): Promise<T> {
  using lock = await takeLock(path, options);
  return await action(lock.fd);
}

/** Disposing releases it, once. */
export interface HeldLock extends Disposable {
  readonly fd: number;
}

/** The same lock for as long as the caller keeps it. Throws code 5 and 11. */
export async function takeLock(path: string, options: LockOptions): Promise<HeldLock> {
  const fd = await acquire(path, options);
  let isHeld = true;
  return {
    fd,
    [Symbol.dispose]() {
      // The last descriptor of the open file: closing it releases the lock.
      if (isHeld) closeSync(fd);
      isHeld = false;
    },
  };
}

async function acquire(path: string, options: LockOptions): Promise<number> {
  const deadline = nowMs() + options.deadlineMs;
  for (;;) {
    const fd = openLock(path, options.mode);
    try {
      await waitFor(fd, path, { ...options, deadline });
      if (fstatSync(fd).nlink > 0) return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
    // Deleted while we waited: whoever comes next locks another file than this one.
    closeSync(fd);
  }
}

function openLock(path: string, mode: number): number {
  try {
    // O_NONBLOCK: a FIFO by that name must not stop us here.
    return openSync(path, constants.O_RDONLY | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK, mode);
  } catch (error) {
    throw ioError('open the lock file', path, error);
  }
}

interface Wait extends LockOptions {
  readonly deadline: number;
}

async function waitFor(fd: number, path: string, options: Wait): Promise<void> {
  const { deadline, deadlineMs, checkpoint, isShared = false } = options;
  const operation = isShared ? LOCK_SH : LOCK_EX;
  for (let pauseMs = FIRST_PAUSE_MS; !tryFlock(fd, operation); pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    if (pauseMs === FIRST_PAUSE_MS) noteWork(`wait for the lock ${path}`);
    if (nowMs() >= deadline) throw tooLate(fd, path, deadlineMs);
    sleep(pauseMs * jitter());
    await checkpoint();
  }
}

function tooLate(fd: number, path: string, deadlineMs: number): CniError {
  const holder = holderOf(fd);
  const state = holder === undefined ? 'another process holds it' : `process ${holder} holds it`;
  return new CniError(
    code.tryAgainLater,
    `cannot lock ${JSON.stringify(path)} within ${deadlineMs / 1000} s: ${state}`,
    {
      details: 'the lock is a flock(2) on this file; look at that process, the lock goes with it',
    },
  );
}

/** Process id and name of the lock's holder as far as /proc/locks tells, like `1234 (host-local)`. */
function holderOf(fd: number): string | undefined {
  // `1: FLOCK  ADVISORY  WRITE 1234 08:02:131 0 EOF`. By inode alone: on some file systems the device differs from
  // fstat's. A waiting process has `->` before its FLOCK.
  const inode = `:${fstatSync(fd).ino}`;
  const lines = (readProc('/proc/locks') ?? '').split('\n').map((line) => line.split(/ +/));
  const [holder, ...others] = lines.filter(([, kind, , , , file]) => kind === 'FLOCK' && file?.endsWith(inode));
  const pid = holder?.[4];
  if (pid === undefined || others.length > 0 || !/^[1-9]\d*$/.test(pid)) return undefined;
  const name = readProc(`/proc/${pid}/comm`)?.trim();
  return name === undefined ? pid : `${pid} (${name})`;
}

function readProc(path: string): string | undefined {
  try {
    return readSmallFile(path, { maxBytes: Number.POSITIVE_INFINITY, follow: true });
  } catch {
    // The process ended, or /proc is hidden from us: the error goes without this.
    return undefined;
  }
}

/** Between a half and one, so that those who began together do not wake together. */
function jitter(): number {
  return 0.5 + Number(process.hrtime.bigint() % 1000n) / 2000;
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function nowMs(): number {
  return Number(process.hrtime.bigint() / 1_000_000n);
}
