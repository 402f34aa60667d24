import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { writeCache } from '../../../../lib/libcni/cache.ts';
import { type CacheEntry, forgetEntry, listCache } from '../../../../lib/libcni/cache-list.ts';
import { parseNetwork } from '../../../../lib/libcni/network.ts';

const network = parseNetwork('{"cniVersion":"1.1.0","name":"net1","plugins":[{"type":"bridge"}]}');
const result = { cniVersion: '1.1.0', ips: [{ address: '10.1.0.5/24' }, { address: 'fd00:0::5/64' }] };

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cache-list-'));
  mkdirSync(join(dir, 'results'));
});
afterEach(() => rmSync(dir, { recursive: true }));

function add(containerId: string, ifname = 'eth0', name = 'net1'): void {
  writeCache(dir, { ...network, name }, { containerId, ifname, netns: `/run/netns/${containerId}`, result });
}

function put(name: string, content: unknown): void {
  writeFileSync(join(dir, 'results', name), typeof content === 'string' ? content : JSON.stringify(content));
}

const listed = (name = 'net1') => listCache(dir, name).map(({ containerId, ifname }) => `${containerId} ${ifname}`);

/** As it stands in the file `net1-c1-eth0`. */
const stored = { kind: 'cniCacheV1', containerId: 'c1', ifName: 'eth0', networkName: 'net1', netns: '/n', result };

describe('listCache()', () => {
  test('tells whose the entries are, where they were and which addresses they had', () => {
    add('c1');
    const [entry] = listCache(dir, 'net1');
    expect(entry).toEqual({
      path: join(dir, 'results/net1-c1-eth0'),
      inode: expect.any(BigInt),
      containerId: 'c1',
      ifname: 'eth0',
      sandboxes: ['/run/netns/c1'],
      addresses: ['10.1.0.5', 'fd00::5'],
    });
  });

  test('lists one network only, also when the name of another begins like it', () => {
    add('c1');
    add('c2', 'eth1');
    add('c3', 'eth0', 'net1-x');
    add('c4', 'eth0', 'other');
    expect(listed()).toEqual(['c1 eth0', 'c2 eth1']);
    expect(listed('net1-x')).toEqual(['c3 eth0']);
  });

  test('takes the sandbox out of the result where old runtimes have no netns', () => {
    const interfaces = [{ name: 'veth1' }, { name: 'eth0', sandbox: '/run/netns/old' }];
    put('net1-c1-eth0', { ...stored, netns: undefined, result: { cniVersion: '0.4.0', interfaces } });
    expect(listCache(dir, 'net1')).toMatchObject([{ sandboxes: ['/run/netns/old'], addresses: [] }]);
  });

  test('is empty without a folder', () => {
    expect(listCache(`${dir}/none`, 'net1')).toEqual([]);
  });

  test.each([
    { what: 'nothing', content: '' },
    { what: 'half an entry', content: '{"kind":"cniCacheV1","contai' },
    { what: 'NULs', content: '\0\0\0' },
    { what: 'a bare result', content: result },
    { what: 'no sandbox', content: { ...stored, netns: undefined } },
    { what: "another's ID", content: { ...stored, containerId: 'c2' } },
    { what: "another network's name", content: { ...stored, networkName: 'net' } },
    { what: 'a damaged result', content: { ...stored, result: { cniVersion: '1.1.0', ips: 7 } } },
    { what: 'a result of a version to come', content: { ...stored, result: { cniVersion: '9.0.0' } } },
  ])('leaves out a file that holds $what', ({ content }) => {
    put('net1-c1-eth0', content);
    add('c9');
    expect(listed()).toEqual(['c9 eth0']);
  });

  test('follows no link and opens no folder', () => {
    put('elsewhere', stored);
    symlinkSync(join(dir, 'results/elsewhere'), join(dir, 'results/net1-c1-eth0'));
    mkdirSync(join(dir, 'results/net1-c2-eth0'));
    expect(listed()).toEqual([]);
  });
});

describe('forgetEntry()', () => {
  const only = (): CacheEntry => {
    const [entry] = listCache(dir, 'net1');
    if (entry === undefined) throw new Error('there is one');
    return entry;
  };

  test('removes the file, and is content when it is gone', () => {
    add('c1');
    const entry = only();
    forgetEntry(entry);
    forgetEntry(entry);
    expect(readdirSync(join(dir, 'results'))).toEqual([]);
  });

  test('leaves what an ADD wrote since', () => {
    add('c1');
    const entry = only();
    add('c1');
    forgetEntry(entry);
    expect(listed()).toEqual(['c1 eth0']);
  });
});
