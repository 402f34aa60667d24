/** Addresses and CIDRs as Go reads and prints them (the texts below were printed by Go's net package). */

import { describe, expect, test } from 'vitest';
import {
  type Cidr,
  contains,
  formatCidr,
  type Ip,
  lastOf,
  makeIp,
  networkOf,
  networkText,
  overlaps,
  parseCidr,
  parseIp,
} from '../../../../lib/net/ip.ts';

function ip(text: string): Ip {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`${text} is no CIDR`);
  return parsed;
}

describe('parseIp() prints', () => {
  test.each([
    ['0.0.0.0', 4, '0.0.0.0'],
    ['255.255.255.255', 4, '255.255.255.255'],
    ['10.1.0.5', 4, '10.1.0.5'],
    ['::', 6, '::'],
    ['::1', 6, '::1'],
    ['1::', 6, '1::'],
    ['FE80::A', 6, 'fe80::a'],
    ['2001:0db8:0000:0000:0000:0000:0000:0001', 6, '2001:db8::1'],
    // The first of the longest runs of zeros is shortened, a single zero never.
    ['1:0:0:2:0:0:0:3', 6, '1:0:0:2::3'],
    ['1:0:0:2:0:0:3:4', 6, '1::2:0:0:3:4'],
    ['2001:db8:0:1:1:1:1:1', 6, '2001:db8:0:1:1:1:1:1'],
    ['0:1:1:1:1:1:1:0', 6, '0:1:1:1:1:1:1:0'],
    ['64:ff9b::1.2.3.4', 6, '64:ff9b::102:304'],
    ['::1.2.3.4', 6, '::102:304'],
    ['::ffff:0:1.2.3.4', 6, '::ffff:0:102:304'],
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 6, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    // As in Go, a v4-mapped address is the IPv4 address.
    ['::ffff:1.2.3.4', 4, '1.2.3.4'],
    ['::ffff:0:0', 4, '0.0.0.0'],
    ['::FFFF:c0a8:0101', 4, '192.168.1.1'],
  ])('%s as IPv%i %s', (text, family, expected) => {
    expect(parseIp(text)).toMatchObject({ family, text: expected });
    expect(ip(expected)).toEqual(ip(text));
  });
});

test.each([
  '',
  '1.2.3',
  '1.2.3.4.5',
  '256.1.1.1',
  '01.2.3.4',
  '010.1.0.5',
  '1.2.3.04',
  '0x1.2.3.4',
  ' 1.2.3.4',
  '1.2.3.4 ',
  '1.2.3.4\n',
  '1.2.3.4/24',
  '16909060',
  ':::',
  '1::2::3',
  '00001::',
  'g::',
  '::1%eth0',
  'fe80::1%1',
  '[::1]',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '::ffff:01.2.3.4',
  'localhost',
])('parseIp() refuses %j', (text) => {
  expect(parseIp(text)).toBeUndefined();
});

describe('parseCidr() keeps host bits', () => {
  test.each([
    ['10.1.0.5/24', '10.1.0.5/24', '10.1.0.0/24', '10.1.0.255'],
    ['10.1.0.5/0', '10.1.0.5/0', '0.0.0.0/0', '255.255.255.255'],
    ['10.1.0.5/32', '10.1.0.5/32', '10.1.0.5/32', '10.1.0.5'],
    ['10.1.0.5/31', '10.1.0.5/31', '10.1.0.4/31', '10.1.0.5'],
    ['2001:DB8::5/64', '2001:db8::5/64', '2001:db8::/64', '2001:db8::ffff:ffff:ffff:ffff'],
    ['::5/0', '::5/0', '::/0', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
    ['fd00::5/128', 'fd00::5/128', 'fd00::5/128', 'fd00::5'],
    ['fd00::5/127', 'fd00::5/127', 'fd00::4/127', 'fd00::5'],
  ])('%s', (text, formatted, network, last) => {
    expect(formatCidr(cidr(text))).toBe(formatted);
    expect(networkText(cidr(text))).toBe(network);
    expect(`${networkOf(cidr(text)).text}/${cidr(text).prefix}`).toBe(network);
    expect(lastOf(cidr(text)).text).toBe(last);
  });
});

test.each([
  '',
  '10.0.0.0',
  '10.0.0.0/',
  '/24',
  '10.0.0.0/33',
  '::/129',
  '10.0.0.0/-1',
  '10.0.0.0/+8',
  '10.0.0.0/8.0',
  '10.0.0.0/1e1',
  '10.0.0.0/ 8',
  '10.0.0.0/8/8',
  '10.0.0.0/255.0.0.0',
  '10.0.0/8',
  'fe80::1%eth0/64',
  // Go takes the rest. ip would read /024 as octal, and a mapped network's length is of neither family.
  '10.0.0.0/024',
  '::ffff:10.0.0.0/24',
  '::ffff:10.0.0.0/104',
])('parseCidr() refuses %j', (text) => {
  expect(parseCidr(text)).toBeUndefined();
});

test.each([
  ['10.1.0.0/24', '10.1.0.255', true],
  ['10.1.0.0/24', '10.1.1.0', false],
  ['10.1.0.77/24', '10.1.0.1', true],
  ['0.0.0.0/0', '255.255.255.255', true],
  ['0.0.0.0/0', '::1', false],
  ['::/0', '1.2.3.4', false],
  ['fd00::5/128', 'fd00::5', true],
  ['fd00::5/128', 'fd00::6', false],
])('contains(%s, %s) is %s', (network, address, expected) => {
  expect(contains(cidr(network), ip(address))).toBe(expected);
});

test.each([
  ['10.1.0.0/24', '10.1.0.0/16', true],
  ['10.1.0.1/24', '10.1.1.1/24', false],
  ['10.1.0.1/24', '10.1.0.200/25', true],
  ['::/0', '10.0.0.0/8', false],
  ['fd00::1/64', 'fd00:0:0:1::1/64', false],
  ['fd00::1/63', 'fd00:0:0:1::1/64', true],
])('overlaps(%s, %s) is %s, both ways', (one, two, expected) => {
  expect(overlaps(cidr(one), cidr(two))).toBe(expected);
  expect(overlaps(cidr(two), cidr(one))).toBe(expected);
});

test('makeIp() refuses a value outside its family', () => {
  expect(() => makeIp(4, 1n << 32n)).toThrow();
  expect(() => makeIp(6, 1n << 128n)).toThrow();
});
