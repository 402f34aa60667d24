import { closeSync, existsSync, lstatSync, mkdirSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RUN_FOLDER } from '../../../../lib/attachment/run-folder.ts';
import { CniError } from '../../../../lib/cni/errors.ts';
import type { Head } from '../../../../lib/journal/head.ts';
import {
  FULL_BYTES,
  JournalEntry,
  MAX_CALL_BYTES,
  MAX_SEGMENT_BYTES,
  openSegment,
  SEGMENTS,
} from '../../../../lib/journal/journal.ts';
import { parseJournal, readJournal } from '../../../../lib/journal/read.ts';
import { LOCK_EX, tryFlock } from '../../../../lib/linux/libc.ts';

const [path, older] = SEGMENTS;
const head: Head = { plugin: 'bridge', verb: 'ADD', network: 'mynet', containerId: '4f1b7c', ifname: 'eth0' };
const fine = { ms: 43.1, error: undefined, children: [] };

beforeEach(() => rmSync(RUN_FOLDER, { recursive: true, force: true }));
afterEach(() => rmSync(RUN_FOLDER, { recursive: true, force: true }));

function entry(atMs = 1): JournalEntry {
  return new JournalEntry(openSegment, atMs);
}

/** The segment as another call holds it that is making room. */
function openLocked(): number {
  const fd = openSync(path, 'r');
  expect(tryFlock(fd, LOCK_EX)).toBe(true);
  return fd;
}

function size(segment: string): number {
  return lstatSync(segment, { throwIfNoEntry: false })?.size ?? 0;
}

describe('an entry', () => {
  test('is read again as it was told', () => {
    const one = entry();
    one.begin(head, 1);
    one.step('ip -batch -', 20.5);
    const children = [
      { what: '/sbin/ip -batch -', atMs: 20.5, ms: 9.1, ending: '0' },
      { what: 'iptables-restore', atMs: 30, ms: 3, ending: '4' },
    ];
    one.end({ ms: 43.1, error: new CniError(102, 'it\nfailed', { details: 'so' }), children });
    expect(readJournal()).toEqual([
      {
        ...head,
        atMs: 1,
        pid: process.pid,
        steps: [{ what: 'ip -batch -', atMs: 20.5 }],
        end: {
          ms: 43.1,
          code: 102,
          msg: 'it failed',
          details: 'so',
          children: [
            { tool: 'ip', ms: 9.1, ending: '0' },
            { tool: 'iptables-restore', ms: 3, ending: '4' },
          ],
        },
      },
    ]);
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
    expect(lstatSync(RUN_FOLDER).mode & 0o777).toBe(0o700);
  });

  test('that was killed shows where', () => {
    const one = entry();
    one.begin(head, 1);
    one.step('wait for the lock', 20);
    expect(readJournal()).toMatchObject([{ steps: [{ what: 'wait for the lock' }], end: undefined }]);
  });

  test('never writes more than its share, and always its end', () => {
    const one = entry();
    one.begin({ ...head, containerId: 'c'.repeat(200), network: 'n'.repeat(200) }, 1);
    for (let count = 0; count < 1000; count += 1) one.step('€'.repeat(1000), count);
    const children = Array.from({ length: 500 }, () => ({ what: '€'.repeat(1000), atMs: 0, ms: 1, ending: '1' }));
    const error = new CniError(1, '€'.repeat(1e5), { details: '\0'.repeat(1e5) });
    one.end({ ms: 1, error, children });
    expect(size(path)).toBeLessThanOrEqual(MAX_CALL_BYTES);
    expect(readJournal()[0]?.end).toMatchObject({ code: 1 });
  });

  test('before begin() nothing is written', () => {
    const one = entry();
    one.step('x', 1);
    one.end(fine);
    expect(existsSync(RUN_FOLDER)).toBe(false);
  });
});

describe('segments', () => {
  function fill(bytes: number): void {
    mkdirSync(RUN_FOLDER, { recursive: true });
    writeFileSync(path, `${'x'.repeat(99)}\n`.repeat(Math.ceil(bytes / 100)), { flag: 'a' });
  }

  function record(atMs = 1): void {
    const one = entry(atMs);
    one.begin(head, atMs);
    one.end(fine);
  }

  test('a full one becomes the older one', () => {
    fill(FULL_BYTES);
    record();
    expect(size(older)).toBeGreaterThanOrEqual(FULL_BYTES);
    expect(size(path)).toBeLessThan(1000);
    expect(readJournal()).toHaveLength(1);
  });

  test('a call that straddles both is whole', () => {
    const one = entry();
    one.begin(head, 1);
    fill(FULL_BYTES);
    record(2);
    one.end(fine);
    expect(readJournal().map(({ atMs, end }) => [atMs, end?.code])).toEqual([
      [1, 0],
      [2, 0],
    ]);
  });

  test('where the older one cannot be replaced, there is only the newer one', () => {
    fill(FULL_BYTES);
    mkdirSync(`${older}/folder`, { recursive: true });
    record();
    expect(size(path)).toBeLessThan(1000);
    expect(readJournal()).toHaveLength(1);
  });

  test('where no room can be made nothing is written, and nobody waits', () => {
    fill(MAX_SEGMENT_BYTES);
    const holder = openLocked();
    const before = size(path);
    record();
    expect(size(path)).toBe(before);
    closeSync(holder);
    record();
    expect(size(path)).toBeLessThan(1000);
  });

  test('while another makes room, the full one is written on', () => {
    fill(FULL_BYTES);
    const holder = openLocked();
    record();
    closeSync(holder);
    expect(existsSync(older)).toBe(false);
    expect(readJournal()).toHaveLength(1);
  });
});

describe('in the place of the journal', () => {
  const far = `/tmp/nodecni-unit-far-${process.pid}`;
  afterEach(() => rmSync(far, { force: true }));

  test.each([
    { what: 'a folder', make: () => mkdirSync(path, { recursive: true }) },
    { what: 'a symbolic link', make: () => symlinkSync(far, path) },
    { what: 'a dangling link in place of /run/nodecni', make: () => replaceFolder() },
  ])('$what changes nothing', ({ make }) => {
    mkdirSync(RUN_FOLDER, { recursive: true });
    make();
    const one = entry();
    one.begin(head, 1);
    one.end(fine);
    expect(existsSync(far)).toBe(false);
    expect(readJournal()).toEqual([]);
  });

  function replaceFolder(): void {
    rmSync(RUN_FOLDER, { recursive: true });
    symlinkSync('/nowhere/at/all', RUN_FOLDER);
  }
});

test('parseJournal() passes over whatever is no line of ours', () => {
  const begin = { call: 'a', at: 1, pid: 2, ...head };
  const lines = [
    'noise',
    '{"call":"a","at":1,"pid"',
    '[]',
    'null',
    JSON.stringify({ call: 'unknown', ms: 1, code: 0, children: [] }),
    JSON.stringify(begin),
    JSON.stringify({ call: 'a', step: 5, ms: 1 }),
    JSON.stringify({ call: 'a', step: 'ip', ms: 1 }),
    '\0\0\0\0',
    JSON.stringify({ call: 'a', ms: 'long', code: 0, children: [] }),
  ];
  expect(parseJournal(lines.join('\n'))).toEqual([
    { ...head, atMs: 1, pid: 2, steps: [{ what: 'ip', atMs: 1 }], end: undefined },
  ]);
});
