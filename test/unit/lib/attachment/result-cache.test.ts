/** The sandboxes that a runtime's cache names. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { cachedSandbox, parseSandboxes } from '../../../../lib/attachment/result-cache.ts';
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
