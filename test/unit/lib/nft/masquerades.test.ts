/** Comments of masquerade rules: the reference finds its own and ours by them. */

import { expect, test } from 'vitest';
import { ifnameIn, isOf, masqueradeComment, networkKey, ownerKey, sourceOf } from '../../../../lib/nft/masquerades.ts';

const rule = (comment: string, text = '') => ({ chain: 'masq_checks', handle: 1, comment, text });

test.each([
  [{ network: 'unit-test', ifname: 'eth0', containerId: 'one' }, '6fd94d501e58f0aa-287fc69eff0574a2'],
  [{ network: 'cbr0', ifname: 'eth0', containerId: '0123456789abcdef'.repeat(4) }, 'cb6e746fae1a4d6c-848025970da6a998'],
])("the key of %j is the reference's", (owner, key) => {
  expect(ownerKey(owner)).toBe(key);
  expect(networkKey(owner.network)).toBe(key.slice(0, 16));
  expect(isOf(owner)(rule(masqueradeComment(owner)))).toBe(true);
  expect(isOf({ ...owner, ifname: 'eth1' })(rule(masqueradeComment(owner)))).toBe(false);
});

test("the comment is the reference's, cut where nft would refuse it", () => {
  expect(masqueradeComment({ network: 'unit-test', ifname: 'eth0', containerId: 'one' })).toBe(
    '6fd94d501e58f0aa-287fc69eff0574a2, net: unit-test, if: eth0, id: one',
  );
  const long = masqueradeComment({ network: 'unit-test', ifname: 'eth0', containerId: 'f'.repeat(64) });
  expect(long).toHaveLength(128);
  expect(ifnameIn(rule(long))).toBe('eth0');
});

test('an interface is named unless the network left no room', () => {
  const owner = { network: 'n', ifname: 'net1', containerId: 'one' };
  expect(ifnameIn(rule(masqueradeComment(owner)))).toBe('net1');
  expect(ifnameIn(rule(masqueradeComment({ ...owner, network: 'n'.repeat(100) })))).toBe('eth0');
});

test.each([
  ['ip saddr 10.1.0.5 ip daddr != 10.1.0.0/24 masquerade', '10.1.0.5'],
  ['ip6 saddr fd00::5 ip6 daddr != fd00::/64 masquerade', 'fd00::5'],
  ['jump elsewhere', ''],
])('sourceOf(%j) is %j', (text, source) => {
  expect(sourceOf(rule('', text))).toBe(source);
});
