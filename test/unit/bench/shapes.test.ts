/** How each side writes a network down: what is compared is the same but for that. */

import { expect, test } from 'vitest';
import { networkOf, type Shape } from '../../bench/shapes.ts';

const byNft: Shape = { families: [4, 6], backend: 'nftables' };
const byIptables: Shape = { families: [4], backend: 'iptables' };
const subnets = ['10.99.0.0/16'];

test('the reference gets the same list as nodecni', () => {
  for (const shape of [byIptables, byNft]) expect(networkOf('reference', shape)).toEqual(networkOf('nodecni', shape));
  expect(networkOf('nodecni', byIptables)).toEqual({ subnets, bridge: { hairpinMode: true }, portmap: {} });
  expect(networkOf('nodecni', byNft)).toEqual({
    subnets: [...subnets, 'fd00:99::/64'],
    bridge: { hairpinMode: true, ipMasqBackend: 'nftables' },
    portmap: { backend: 'nftables' },
  });
});

test('one process is bridge alone, with the capability and the keys of portmap', () => {
  const capabilities = { portMappings: true };
  expect(networkOf('nodecni, one process', byIptables)).toEqual({
    subnets,
    bridge: { hairpinMode: true, capabilities, portmap: {} },
  });
  expect(networkOf('nodecni, one process', byNft).bridge).toEqual({
    hairpinMode: true,
    ipMasqBackend: 'nftables',
    capabilities,
    portmap: { backend: 'nftables' },
  });
});

test('sets are by nftables whatever the others do', () => {
  expect(networkOf('nodecni, sets', byIptables)).toEqual({
    subnets,
    bridge: { hairpinMode: true, ipMasqBackend: 'nftables', ruleLayout: 'sets' },
    portmap: { backend: 'nftables', ruleLayout: 'sets' },
  });
});
