/** /proc/net/route: which interface leads to an address. */

import { expect, test } from 'vitest';
import { parseIpv4Routes } from '../../../../lib/linux/route-table.ts';
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
