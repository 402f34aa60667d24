import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { posix } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { CniError, code } from '../../../../lib/cni/errors.ts';
import { LOCK_EX, tryFlock } from '../../../../lib/linux/libc.ts';
import { type LockOptions, takeLock, withLock } from '../../../../lib/linux/lock.ts';

function lockPath(): string {
  const folder = mkdtempSync(posix.join(tmpdir(), 'nodecni-lock-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return posix.join(folder, 'lock');
}

function options(changes: Partial<LockOptions> = {}): LockOptions {
  return { mode: 0o750, deadlineMs: 2000, checkpoint: async () => {}, ...changes };
}

function isFree(path: string): boolean {
  const fd = openSync(path, 'r');
  try {
    return tryFlock(fd, LOCK_EX);
  } finally {
    closeSync(fd);
  }
}

describe('withLock()', () => {
  test('creates the file, holds the lock while the action runs, and releases it', async () => {
    const path = lockPath();
    expect(await withLock(path, options(), async () => isFree(path))).toBe(false);
    expect(isFree(path)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o750 & ~process.umask());
  });

  test('releases it when the action fails', async () => {
    const path = lockPath();
    await expect(withLock(path, options(), () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(isFree(path)).toBe(true);
  });

  test('waits for another holder', async () => {
    const path = lockPath();
    const holder = openSync(path, 'w');
    tryFlock(holder, LOCK_EX);
    let attempts = 0;
    const checkpoint = async () => {
      attempts++;
      if (attempts === 3) closeSync(holder);
    };
    expect(await withLock(path, options({ checkpoint }), async () => 'mine')).toBe('mine');
    expect(attempts).toBe(3);
  });

  test('ends the wait with what the checkpoint throws', async () => {
    const path = lockPath();
    const holder = openSync(path, 'w');
    tryFlock(holder, LOCK_EX);
    const checkpoint = () => Promise.reject(new CniError(code.interrupted, 'interrupted'));
    await expect(withLock(path, options({ checkpoint }), async () => 0)).rejects.toThrow('interrupted');
    closeSync(holder);
  });

  test('gives up at the deadline and names file, wait and holder', async () => {
    const path = lockPath();
    const holder = openSync(path, 'w');
    tryFlock(holder, LOCK_EX);
    await expect(withLock(path, options({ deadlineMs: 50 }), async () => 0)).rejects.toMatchObject({
      code: code.tryAgainLater,
      message: expect.stringMatching(`^cannot lock "${path}" within 0.05 s: process ${process.pid} \\(.+\\) holds it$`),
    });
    closeSync(holder);
  });

  test('locks the file that has the name, not one that was deleted while it waited', async () => {
    const path = lockPath();
    const holder = openSync(path, 'w');
    tryFlock(holder, LOCK_EX);
    const checkpoint = async () => {
      rmSync(path);
      closeSync(holder);
    };
    expect(await withLock(path, options({ checkpoint }), async () => isFree(path))).toBe(false);
  });

  test.each([
    { what: 'a folder', make: (path: string) => mkdirSync(path) },
    { what: 'a symbolic link', make: (path: string) => symlinkSync('/etc/passwd', path) },
    { what: 'nothing that can be created', make: (path: string) => rmSync(posix.dirname(path), { recursive: true }) },
  ])('says so where $what has its name', async ({ make }) => {
    const path = lockPath();
    make(path);
    await expect(withLock(path, options(), async () => 0)).rejects.toMatchObject({
      code: code.ioFailure,
      message: expect.stringContaining(`cannot open the lock file "${path}"`),
    });
  });
});

describe('takeLock()', () => {
  test('shares the lock with other shared holders, and keeps exclusive ones out until the last is released', async () => {
    const path = lockPath();
    const shared = options({ isShared: true });
    const [one, two] = [await takeLock(path, shared), await takeLock(path, shared)];
    one[Symbol.dispose]();
    await expect(takeLock(path, options({ deadlineMs: 0 }))).rejects.toMatchObject({ code: code.tryAgainLater });
    two[Symbol.dispose]();
    using _lock = await takeLock(path, options());
    await expect(takeLock(path, { ...shared, deadlineMs: 0 })).rejects.toMatchObject({ code: code.tryAgainLater });
  });

  test('is released once, however often', async () => {
    const path = lockPath();
    const lock = await takeLock(path, options());
    lock[Symbol.dispose]();
    const other = openSync(path, 'r');
    onTestFinished(() => closeSync(other));
    lock[Symbol.dispose]();
    expect(tryFlock(other, LOCK_EX)).toBe(true);
  });
});
