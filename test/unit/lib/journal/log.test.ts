import { existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Head } from '../../../../lib/journal/head.ts';
import { Log, renderLogLine } from '../../../../lib/journal/log.ts';
import type { Level } from '../../../../lib/journal/settings.ts';

const head: Head = { plugin: 'bridge', verb: 'ADD', network: 'mynet', containerId: '4f1b7c', ifname: 'eth0' };
const atMs = Date.UTC(2026, 0, 31, 12, 0, 0, 123);

describe('renderLogLine()', () => {
  test('is one line for people', () => {
    expect(renderLogLine({ atMs, pid: 4711, level: 'info', head, text: 'done in 43.1 ms' })).toBe(
      '2026-01-31T12:00:00.123Z info bridge[4711] ADD mynet/4f1b7c/eth0: done in 43.1 ms',
    );
  });
  test('leaves out what is not known', () => {
    const early = { ...head, network: '', containerId: '', ifname: '' };
    expect(renderLogLine({ atMs, pid: 1, level: 'error', head: early, text: 'x' })).toBe(
      '2026-01-31T12:00:00.123Z error bridge[1] ADD: x',
    );
  });
  test('stays one line, of limited length, whatever a tool says', () => {
    const line = renderLogLine({ atMs, pid: 1, level: 'error', head, text: `a\nb\u001b[2J\u202e${'x'.repeat(9999)}` });
    expect(line).toMatch(/a b \[2J x+…$/);
    expect(line.length).toBeLessThan(4200);
  });
});

describe('Log', () => {
  let folder = '';
  let path = '';
  const complaints: string[] = [];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'log-'));
    path = join(folder, 'cni.log');
    complaints.length = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  function log(logLevel: Level = 'info'): Log {
    return new Log({ logFile: path, logLevel, trace: '' }, (message) => complaints.push(message));
  }

  test('appends what its level lets through, to a file for its owner alone', () => {
    const warnings = log('warning');
    for (const level of ['debug', 'info', 'warning', 'error'] as const) warnings.write(level, head, `a ${level}`);
    log().write('info', head, 'later');
    expect(readFileSync(path, 'utf8').replace(/^\S+ /gm, '').replaceAll(`[${process.pid}]`, '')).toBe(
      'warning bridge ADD mynet/4f1b7c/eth0: a warning\nerror bridge ADD mynet/4f1b7c/eth0: a error\n' +
        'info bridge ADD mynet/4f1b7c/eth0: later\n',
    );
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
    expect(complaints).toEqual([]);
  });

  test('a renamed file is left to logrotate by the next call', () => {
    log().write('info', head, 'one');
    renameSync(path, `${path}.1`);
    log().write('info', head, 'two');
    expect(readFileSync(path, 'utf8')).toMatch(/two\n$/);
    expect(readFileSync(`${path}.1`, 'utf8')).not.toMatch(/two/);
  });

  test.each([
    { what: 'a folder', make: () => mkdirSync(path), how: /EISDIR/ },
    { what: 'a symbolic link', make: () => symlinkSync(join(folder, 'other'), path), how: /ELOOP/ },
    { what: 'in no folder', make: () => rmSync(folder, { recursive: true }), how: /ENOENT/ },
  ])('$what is told of once and fails nothing', ({ make, how }) => {
    make();
    const broken = log();
    for (const text of ['one', 'two']) broken.write('info', head, text);
    expect(complaints).toEqual([expect.stringMatching(how)]);
    expect(existsSync(join(folder, 'other'))).toBe(false);
    mkdirSync(folder, { recursive: true });
  });

  test('/dev/full fails nothing either', () => {
    path = '/dev/full';
    log().write('info', head, 'one');
    expect(complaints).toEqual(['cannot write to the log file "/dev/full": it is no regular file']);
  });
});
