/** Names of a container's chains: vectors from the reference. */

import { expect, test } from 'vitest';
import { chainName } from '../../../../lib/iptables/chain-name.ts';

test.each([
  ['CNI-', 'test', '1234', 'CNI-2bbe0c48b91a7d1b8a6753a8'],
  ['CNI-', 'testalongnamethatdoesnotmakesense', '1234', 'CNI-374f33fe84ab0ed84dcdebe3'],
  ['CNI-DN-', 'test', '1234', 'CNI-DN-2bbe0c48b91a7d1b8a675'],
  ['CNI-DN-', 'cbr0', '0123456789abcdef'.repeat(4), 'CNI-DN-65299167c7285b471ffb1'],
] as const)('chainName() of %s, %s, %s', (prefix, network, containerId, name) => {
  expect(chainName(prefix, network, containerId)).toBe(name);
});
