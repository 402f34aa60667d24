/** State files: names, what is whose, and that nothing is ever torn or lost. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readState, removeDead, removeState, type StateOf, writeState } from '../../../../plugins/flannel/state.ts';
import { DELEGATED } from './fixtures.ts';

let dataDir: string;

beforeEach(() => {
  dataDir = join(mkdtempSync(join(tmpdir(), 'flannel-')), 'state');
});

afterEach(() => rmSync(join(dataDir, '..'), { recursive: true }));

const config = JSON.parse(DELEGATED) as { [key: string]: unknown };

function of(containerId: string, ifname = 'eth0', hasOtherFirst = () => false): StateOf {
  return { dataDir, containerId, ifname, hasOtherFirst };
}

function write(state: StateOf, mtu = 1450): void {
  writeState(state, { ...config, mtu })();
}

const files = () => readdirSync(dataDir).sort();

describe('writeState()', () => {
  test('writes what the original does: the configuration, by the container’s ID', () => {
    write(of('c-1'));
    expect(files()).toEqual(['c-1']);
    expect(readFileSync(join(dataDir, 'c-1'), 'utf8')).toBe(DELEGATED);
    expect(statSync(join(dataDir, 'c-1')).mode & 0o777).toBe(0o600);
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
  });

  test('replaces a torn one, and its own', () => {
    write(of('c1'));
    writeFileSync(join(dataDir, 'c1'), '');
    write(of('c1'), 1400);
    expect(files()).toEqual(['c1']);
    expect(readState(of('c1'))).toEqual({ ...config, mtu: 1400 });
  });

  test('does not overwrite the first with a further one, whichever comes first', () => {
    write(of('c1', 'eth0'), 1);
    write(of('c1', 'net1'), 2);
    write(of('c2', 'net1'), 3);
    write(of('c2', 'eth0'), 4);
    expect(files()).toEqual(['c1', 'c1:net1', 'c2', 'c2:eth0', 'c2:net1']);
    const read = (id: string, ifname: string) => readState(of(id, ifname));
    expect([read('c1', 'eth0'), read('c1', 'net1')]).toMatchObject([{ mtu: 1 }, { mtu: 2 }]);
    expect([read('c2', 'net1'), read('c2', 'eth0')]).toMatchObject([{ mtu: 3 }, { mtu: 4 }]);
    // The original reads the first of each.
    expect(readFileSync(join(dataDir, 'c2'), 'utf8')).toContain('"mtu":3');
  });

  test('tells containers apart whose IDs look like another’s interface', () => {
    write(of('c1', 'net1'));
    write(of('c1-net1'));
    removeState(of('c1', 'net1'));
    expect(files()).toEqual(['c1-net1']);
  });
});

describe('readState()', () => {
  test('of nothing', () => {
    expect(readState(of('c1'))).toBe(undefined);
  });

  test.each(['', '{"name":"cbr0","ty', '[]', '"text"'])('takes %j for damaged', (text) => {
    write(of('c1'));
    writeFileSync(join(dataDir, 'c1'), text);
    expect(readState(of('c1'))).toBe('damaged');
  });

  test('takes the original’s file of an interface that is not eth0, unless eth0 is another’s', () => {
    write(of('c1'));
    expect(readState(of('c1', 'net1'))).toEqual(config);
    expect(readState(of('c1', 'net1', () => true))).toBe(undefined);
  });
});

describe('removeState()', () => {
  test.each([
    ['eth0', 'net1'],
    ['net1', 'eth0'],
    ['net1', 'net2'],
  ])('of %s leaves the other one, %s', (one, two) => {
    write(of('c1', one), 1);
    write(of('c1', two), 2);
    removeState(of('c1', one));
    expect(readState(of('c1', two))).toMatchObject({ mtu: 2 });
    removeState(of('c1', two));
    expect(files()).toEqual([]);
  });

  test('of nothing, twice', () => {
    removeState(of('c1'));
    removeState(of('c1', 'net1'));
    expect(existsSync(dataDir)).toBe(false);
  });
});

describe('removeDead()', () => {
  const dead = (...valid: [string, string][]) =>
    removeDead({ dataDir, network: 'cbr0', valid: valid.map(([containerID, ifname]) => ({ containerID, ifname })) });

  test('of a folder that is not there', () => {
    expect(() => dead()).not.toThrow();
  });

  test('keeps what is valid, whatever is the first', () => {
    write(of('c1'));
    write(of('c1', 'net1'));
    write(of('c2', 'net1'));
    write(of('c3'));
    dead(['c1', 'eth0'], ['c2', 'net1']);
    expect(files()).toEqual(['c1', 'c2', 'c2:net1']);
    dead(['c1', 'eth0']);
    expect(files()).toEqual(['c1']);
    dead();
    expect(files()).toEqual([]);
  });

  test('removes both names of a first one, when another interface lives', () => {
    write(of('c1', 'net1'));
    write(of('c1', 'eth0'));
    dead(['c1', 'eth0']);
    expect(files()).toEqual(['c1:eth0']);
  });

  test('keeps another network’s, and one that an ADD holds; takes damaged ones and drafts of the dead', () => {
    writeState(of('other'), { ...config, name: 'cbr1' })();
    const letGo = writeState(of('busy'), config);
    for (const name of ['torn', '.draft.1.12345678901']) writeFileSync(join(dataDir, name), '{"na');
    writeFileSync(join(dataDir, 'valid'), '');
    dead(['valid', 'eth0']);
    expect(files()).toEqual(['busy', 'other', 'valid']);
    letGo();
    dead();
    expect(files()).toEqual(['other']);
  });
});
