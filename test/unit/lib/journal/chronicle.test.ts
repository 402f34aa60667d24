/** Which calls leave what, where. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RUN_FOLDER } from '../../../../lib/attachment/run-folder.ts';
import { CniError } from '../../../../lib/cni/errors.ts';
import type { Verb } from '../../../../lib/cni/plugin.ts';
import { Chronicle } from '../../../../lib/journal/chronicle.ts';
import { openSegment } from '../../../../lib/journal/journal.ts';
import { noteChild, noteStep, noteWork } from '../../../../lib/journal/observer.ts';
import { readJournal } from '../../../../lib/journal/read.ts';
import { fakeCall } from '../cni/fake-call.ts';

let folder = '';
const complaints: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'chronicle-'));
  complaints.length = 0;
});
afterEach(() => {
  for (const path of [folder, RUN_FOLDER]) rmSync(path, { recursive: true, force: true });
});

function chronicleOf(verb: string): Chronicle {
  const complain = (message: string) => complaints.push(message);
  return new Chronicle({ plugin: 'bridge', env: { CNI_COMMAND: verb }, complain, openSegment });
}

/** A call from its beginning to its end. */
function live(verb: Verb, { config = {}, doing = () => {}, error }: Life = {}): void {
  const chronicle = chronicleOf(verb);
  chronicle.begin(fakeCall(config, { verb }));
  doing(chronicle);
  chronicle.end(error);
}

interface Life {
  readonly config?: object;
  readonly doing?: (chronicle: Chronicle) => void;
  readonly error?: CniError;
}

const idle = () => noteStep('host-local DEL');
const wait = () => noteWork('wait for the lock /x');
const child = () => noteChild({ tool: 'ip', args: ['-batch', '-'], input: 'link show\naddr show\n' })('0');
const refused = new CniError(7, 'no', { details: 'fix it' });

describe('the journal', () => {
  test.each<{ what: string; verb: Verb; life: Life; found: number }>([
    { what: 'ADD, whatever it does', verb: 'ADD', life: {}, found: 1 },
    { what: 'a DEL that finds nothing to do', verb: 'DEL', life: { doing: idle }, found: 0 },
    { what: 'a DEL that has to wait', verb: 'DEL', life: { doing: wait }, found: 1 },
    { what: 'a DEL that runs something', verb: 'DEL', life: { doing: child }, found: 1 },
    { what: 'a DEL that fails', verb: 'DEL', life: { error: refused }, found: 1 },
    { what: 'a GC that finds nothing', verb: 'GC', life: {}, found: 0 },
    { what: 'a STATUS that is fine', verb: 'STATUS', life: { doing: child }, found: 0 },
    { what: 'a STATUS that is not', verb: 'STATUS', life: { doing: child, error: refused }, found: 1 },
  ])('$what: $found', ({ verb, life, found }) => {
    live(verb, life);
    expect(readJournal()).toHaveLength(found);
  });

  test('tells steps, children and outcome', () => {
    live('DEL', {
      doing: () => {
        wait();
        child();
        idle();
      },
      error: refused,
    });
    expect(readJournal()).toMatchObject([
      {
        plugin: 'bridge',
        verb: 'DEL',
        network: 'mynet',
        containerId: 'c1',
        ifname: 'eth0',
        steps: [{ what: 'wait for the lock /x' }, { what: 'ip -batch -' }, { what: 'host-local DEL' }],
        end: { code: 7, msg: 'no', details: 'fix it', children: [{ tool: 'ip', ending: '0' }] },
      },
    ]);
  });

  test('has calls that were refused before they were understood', () => {
    chronicleOf('NONSENSE').end(refused);
    expect(readJournal()).toMatchObject([{ plugin: 'bridge', verb: 'NONSENSE', network: '', end: { code: 7 } }]);
  });

  test('has nothing of VERSION', () => {
    chronicleOf('VERSION').end(undefined);
    expect(readJournal()).toEqual([]);
  });

  test('has no more of a call once it has ended', () => {
    live('ADD');
    child();
    expect(readJournal()[0]?.steps).toEqual([]);
  });
});

describe('the log', () => {
  function logged(verb: Verb, life: Life, logLevel = 'debug'): string[] {
    const logFile = join(folder, 'log');
    live(verb, { ...life, config: { logFile, logLevel } });
    const text = readFileSync(logFile, 'utf8');
    return text.trim().split('\n').map(withoutTimes);
  }

  function withoutTimes(line: string): string {
    return line
      .replace(/^\S+ /, '')
      .replace(/\[\d+\]/, '')
      .replace(/[\d.]+ ms/, 'N ms');
  }

  test('has steps, commands with their input, warnings and the outcome', () => {
    const doing = (chronicle: Chronicle) => {
      wait();
      child();
      chronicle.warn('look out');
    };
    expect(logged('ADD', { doing })).toEqual([
      'debug bridge ADD mynet/c1/eth0: wait for the lock /x',
      'debug bridge ADD mynet/c1/eth0: ip -batch - ended with 0 after N ms: link show; addr show',
      'warning bridge ADD mynet/c1/eth0: look out',
      'info bridge ADD mynet/c1/eth0: done in N ms',
    ]);
  });

  test('has an error with its fix', () => {
    expect(logged('ADD', { error: refused }, 'error')).toEqual([
      'error bridge ADD mynet/c1/eth0: failed after N ms with code 7: no (fix it)',
    ]);
  });

  test('has a STATUS that is fine at debug only', () => {
    expect(logged('STATUS', {})).toEqual(['debug bridge STATUS mynet/c1/eth0: done in N ms']);
  });
});

test('a wrong log setting refuses an ADD, which is in the journal', () => {
  const chronicle = chronicleOf('ADD');
  expect(() => chronicle.begin(fakeCall({ logLevel: 'loud' }))).toThrow('logLevel');
  chronicle.end(refused);
  expect(readJournal()).toMatchObject([{ verb: 'ADD', network: 'mynet', end: { code: 7 } }]);
});

describe('the trace', () => {
  test('has a line per call with every span', () => {
    const trace = join(folder, 'trace');
    for (const _ of [1, 2]) live('ADD', { config: { trace }, doing: child });
    const lines = readFileSync(trace, 'utf8').trim().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ verb: 'ADD' }, { verb: 'ADD', code: 0 }]);
    const { spans, ms } = JSON.parse(lines[0] ?? '') as { spans: { what: string; ms: number }[]; ms: number };
    expect(spans.map(({ what }) => what)).toEqual(expect.arrayContaining(['start', 'ip -batch -', 'ADD']));
    const sum = spans.reduce((total, span) => total + span.ms, 0);
    expect(sum).toBeCloseTo(ms, 0);
  });

  test('that cannot be written fails nothing', () => {
    live('ADD', { config: { trace: folder } });
    expect(complaints).toEqual([expect.stringMatching(/^cannot write to the trace file .*EISDIR/)]);
  });
});
