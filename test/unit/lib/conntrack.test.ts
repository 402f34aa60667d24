/** The words of a deletion: always a port, so that it can never mean all entries. */

import { expect, test } from 'vitest';
import { deletion } from '../../../lib/conntrack.ts';

test.each([
  [{ family: 4, hostPort: 53 }, '-D -f ipv4 -p udp --orig-port-dst 53'],
  [{ family: 6, hostPort: 53, hostIp: '2001:db8::1' }, '-D -f ipv6 -p udp --orig-port-dst 53 --orig-dst 2001:db8::1'],
  [
    { family: 4, hostPort: 53, hostIp: '192.0.2.1', answeredBy: '10.88.0.5' },
    '-D -f ipv4 -p udp --orig-port-dst 53 --orig-dst 192.0.2.1 --reply-src 10.88.0.5',
  ],
] as const)('deletion() of %j', (flows, expected) => {
  expect(deletion(flows).join(' ')).toBe(expected);
});
