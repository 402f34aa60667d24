/** /proc/net/route and ipv6_route: which interface leads to an address, and whether one does. */

import { expect, test } from 'vitest';
import { hasIpv6Route, parseIpv4Routes } from '../../../../lib/linux/route-table.ts';
import { type Ip, parseIp } from '../../../../lib/net/ip.ts';

/** default via eth0; 10.88.0.0/16 cni0; 10.88.5.0/24 cni1 (metric 100) and cni2 (50); 10.9.0.0/16 unreachable. */
const TABLE = [
  'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                       ',
  'eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0      ',
  'cni0\t0000580A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0      ',
  'cni1\t0005580A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0    ',
  'cni2\t0005580A\t00000000\t0001\t0\t0\t50\t00FFFFFF\t0\t0\t0     ',
  '*\t0000090A\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0         ',
  '',
].join('\n');

test.each([
  ['10.88.0.5', 'cni0'],
  ['10.88.5.1', 'cni2'],
  ['10.89.0.1', undefined],
  ['10.9.0.1', undefined],
])('parseIpv4Routes() for %s: %s', (address, expected) => {
  expect(parseIpv4Routes(TABLE, parseIp(address) as Ip)).toBe(expected);
});

test('parseIpv4Routes() of a kernel without IPv4', () => {
  expect(parseIpv4Routes('', parseIp('10.88.0.5') as Ip)).toBeUndefined();
});

/** fd10::/64 on cni0; default via eth0; unreachable fd20::/16. Lengths are hexadecimal. */
const IPV6_TABLE = [
  ['fd10', 40, '00000001', 'cni0'],
  ['0000', 0, '00000003', 'eth0'],
  ['fd20', 10, '00200201', 'lo'],
]
  .map(([start, prefix, flags, name]) => {
    const none = `${'0'.repeat(32)} 00`;
    const length = Number(prefix).toString().padStart(2, '0');
    return `${String(start).padEnd(32, '0')} ${length} ${none} ${none.slice(0, 32)} 00000100 00000001 00000000 ${flags} ${name}\n`;
  })
  .join('');

test.each([
  ['fd10::5', true],
  ['fd10:0:0:1::5', false],
  ['fd20::5', false],
  ['2001:db8::5', false],
])('hasIpv6Route() for %s: %s', (address, expected) => {
  expect(hasIpv6Route(IPV6_TABLE, parseIp(address) as Ip)).toBe(expected);
});

test('hasIpv6Route() of a kernel without IPv6', () => {
  expect(hasIpv6Route('', parseIp('fd10::5') as Ip)).toBe(false);
});
