/** The words of deletions: always with a port or an address, so that they can never mean all entries. */

import { expect, test } from 'vitest';
import { deletion, deletionsOf, endsIn, flowsIn } from '../../../lib/conntrack.ts';
import { parseIp } from '../../../lib/net/ip.ts';

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

test('deletionsOf() names the address in each, at every end that can be its own', () => {
  const ip = parseIp('fd00:0::5');
  expect(ip === undefined ? [] : deletionsOf(ip).map((words) => words.join(' '))).toEqual([
    '-D -f ipv6 --orig-src fd00::5',
    '-D -f ipv6 --orig-dst fd00::5',
    '-D -f ipv6 --reply-src fd00::5',
  ]);
});

test('endsIn() reads a listing', () => {
  const listing = `tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=192.0.2.1 sport=1 dport=8080 src=10.1.0.5 dst=10.0.0.1 sport=80 dport=1 [ASSURED] mark=0 use=1
udp      17 29 src=10.1.0.6 dst=192.0.2.9 sport=5 dport=53 [UNREPLIED] src=192.0.2.9 dst=192.0.2.1 sport=53 dport=5 mark=0 use=1
`;
  const ends = endsIn(listing);
  expect(ends).toContain('--reply-src 10.1.0.5');
  expect(ends).toContain('--orig-dst 192.0.2.1');
  expect(ends).toContain('--orig-src 10.1.0.6');
  expect(ends).not.toContain('--orig-src 10.1.0.5');
  expect(flowsIn(listing, 4)).toEqual(['udp 4 53']);
});
