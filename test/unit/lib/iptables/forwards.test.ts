/** Rules that send to containers, read back. */

import { expect, test } from 'vitest';
import { forwardsIn } from '../../../../lib/iptables/forwards.ts';

test.each([
  ['10.1.0.5:80', '10.1.0.5'],
  ['10.1.0.5', '10.1.0.5'],
  ['10.1.0.5:80-90', '10.1.0.5'],
  ['[fd00::5]:80', 'fd00::5'],
  ['fd00::5', 'fd00::5'],
])('forwardsIn() reads the address of %s', (destination, address) => {
  const rule = `-p tcp -m tcp --dport 8080 -j DNAT --to-destination ${destination}`;
  expect(forwardsIn([rule, '-p tcp -j CNI-HOSTPORT-SETMARK'])).toEqual([{ rule, match: 'tcp 8080 ', address }]);
});
