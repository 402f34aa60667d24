/** The sandboxes that a runtime's cache names. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  cachedDataDirs,
  cachedNetworks,
  cachedSandbox,
  parseSandboxes,
} from '../../../../lib/attachment/result-cache.ts';
import { ownerOf, temporaryFolder } from '../../ipam/host-local/support.ts';

const interfaces = [{ name: 'cni0' }, { name: 'eth0', sandbox: '/run/netns/b' }];

test.each([
  [
    'the entry itself',
    { kind: 'cniCacheV1', netns: '/run/netns/a', result: { interfaces } },
    ['/run/netns/a', '/run/netns/b'],
  ],
  ['only its result, as of old', { kind: 'cniCacheV1', result: { interfaces } }, ['/run/netns/b']],
  ['nothing', { kind: 'cniCacheV1' }, undefined],
  ['a wrong shape', { netns: 7 }, undefined],
])('parseSandboxes() reads %s', (_what, entry, expected) => {
  expect(parseSandboxes(JSON.stringify(entry))).toEqual(expected);
});

test.each(['', '\0\0', '{"netns": "/run', '[]'])('parseSandboxes() knows %j for damaged', (text) => {
  expect(parseSandboxes(text)).toBeUndefined();
});

test('cachedSandbox() tells a sandbox that is there from one that is gone, and from an entry that nobody can read', () => {
  const folder = temporaryFolder();
  const look = (ifname = 'eth0') => cachedSandbox('net1', ownerOf('c1', ifname), folder);
  const write = (netns: string, ifname = 'eth0') =>
    writeFileSync(`${folder}/net1-c1-${ifname}`, JSON.stringify({ kind: 'cniCacheV1', netns }));
  expect(look()).toBe('none');
  write('/run/netns/no-such-sandbox');
  expect(look()).toBe('none');
  write('/proc/self/ns/net', 'eth1');
  expect([look(), look('eth1')]).toEqual(['none', 'alive']);
  // A lease in the format of old versions may be any interface's.
  expect(look('')).toBe('alive');
  writeFileSync(`${folder}/net1-c1-eth0`, '\0\0\0');
  expect(look()).toBe('unknown');
  mkdirSync(`${folder}/net1-c1-eth2`);
  expect(look('eth2')).toBe('unknown');
  expect(cachedSandbox('net1', ownerOf('c1'), `${folder}/none`)).toBe('none');
});

test('cachedNetworks() and cachedDataDirs() tell where the leases of a container may be', () => {
  const folder = temporaryFolder();
  const write = (name: string, config: unknown) =>
    writeFileSync(
      `${folder}/${name}`,
      JSON.stringify({ config: Buffer.from(JSON.stringify(config)).toString('base64') }),
    );
  write('net-1-c1-eth0', { plugins: [{ type: 'bridge', ipam: { dataDir: '/run/a' } }, { type: 'portmap' }] });
  write('other-c1-eth0', { type: 'bridge', ipam: { dataDir: '/run/b' } });
  write('net-1-c10-eth0', { type: 'bridge', ipam: { dataDir: '/run/c' } });
  expect(cachedNetworks('c1', folder).sort()).toEqual(['net-1', 'other']);
  expect(cachedDataDirs('net-1', 'c1', folder)).toEqual(['/run/a']);
  expect(cachedDataDirs('other', 'c1', folder)).toEqual(['/run/b']);
  write('net-1-c1-eth1', { ipam: { dataDir: 'relative' } });
  writeFileSync(`${folder}/net-1-c1-eth2`, '{"config":');
  expect(cachedDataDirs('net-1', 'c1', folder)).toEqual(['/run/a']);
  expect([cachedNetworks('c1', `${folder}/none`), cachedDataDirs('net-1', 'c1', `${folder}/none`)]).toEqual([[], []]);
});
