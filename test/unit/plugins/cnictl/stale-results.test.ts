import { describe, expect, test } from 'vitest';
import type { CacheEntry } from '../../../../lib/libcni/cache-list.ts';
import { findStale, type Surroundings } from '../../../../plugins/cnictl/stale-results.ts';

const entry: CacheEntry = {
  path: '/var/lib/cni/results/net1-c1-eth0',
  inode: 1n,
  containerId: 'c1',
  ifname: 'eth0',
  sandboxes: ['/run/netns/c1'],
  addresses: ['10.1.0.5', 'fd00::5'],
};
const own = { containerId: 'c1', ifname: 'eth0', addresses: ['10.1.0.5', 'fd00::5'] };
const other = { containerId: 'c2', ifname: 'eth0', addresses: ['10.1.0.6'] };

/** Nothing of the attachment is left anywhere. */
const gone: Surroundings = {
  freed: [],
  kept: [other],
  isLocal: true,
  isNamespace: () => false,
  namespaces: () => ({ cookies: new Set(), addresses: new Set(['10.1.0.6', '127.0.0.1']) }),
};
const seeing = (...addresses: string[]) => ({
  namespaces: () => ({ cookies: new Set<string>(), addresses: new Set(addresses) }),
});

const whyGone = (surroundings: Partial<Surroundings>, one = entry) =>
  findStale([one], { ...gone, ...surroundings }).map(({ why }) => why);

describe('findStale()', () => {
  test('takes the result of an attachment that is freed', () => {
    expect(whyGone({ freed: [own], isLocal: false })).toEqual(['its attachment is dead']);
    expect(whyGone({ freed: [{ ...own, ifname: '' }], isLocal: false })).toEqual(['its attachment is dead']);
  });

  test('takes the result of an attachment of which nothing is left', () => {
    const why = 'no lease, no sandbox and no namespace with its address is left';
    expect(whyGone({})).toEqual([why]);
    const heir = { ...other, addresses: ['10.1.0.5'] };
    expect(whyGone({ kept: [heir], ...seeing('10.1.0.5') })).toEqual([why]);
  });

  test.each<{ what: string; surroundings: Partial<Surroundings>; one?: CacheEntry }>([
    { what: 'its attachment is kept', surroundings: { kept: [own] } },
    {
      what: 'its attachment is kept, whatever else of the container is freed',
      surroundings: { kept: [own], freed: [own] },
    },
    { what: 'a lease of the container names no interface', surroundings: { kept: [{ ...own, ifname: '' }] } },
    { what: 'its sandbox is there', surroundings: { isNamespace: () => true } },
    { what: 'its sandbox cannot be looked at', surroundings: { isNamespace: () => undefined } },
    { what: 'one of its addresses is in a namespace', surroundings: seeing('fd00::5') },
    { what: '/proc does not show everything', surroundings: { namespaces: () => undefined } },
    { what: 'the folder may be of other machines, too', surroundings: { isLocal: false } },
    { what: 'it names no address', surroundings: {}, one: { ...entry, addresses: [] } },
    { what: 'only another interface is freed', surroundings: { freed: [{ ...own, ifname: 'eth1' }], isLocal: false } },
    { what: 'only another container is freed', surroundings: { freed: [other], isLocal: false } },
    {
      what: 'one of several sandboxes is there',
      surroundings: { isNamespace: (path) => path === '/b' },
      one: { ...entry, sandboxes: ['/a', '/b'] },
    },
  ])('keeps the result when $what', ({ surroundings, one }) => {
    expect(whyGone(surroundings, one)).toEqual([]);
  });
});
