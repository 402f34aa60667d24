import { expect, test } from 'vitest';
import { linkLocalAddress, parseMac, randomMac } from '../../../../lib/net/mac.ts';

test.each([
  ['02:42:ac:11:00:02', '02:42:ac:11:00:02'],
  ['02:42:AC:11:00:02', '02:42:ac:11:00:02'],
  ['02-42-ac-11-00-02', '02:42:ac:11:00:02'],
  ['0242.AC11.0002', '02:42:ac:11:00:02'],
  ['00:00:00:00:00:01', '00:00:00:00:00:01'],
])('parseMac(%j) is %s', (text, expected) => {
  expect(parseMac(text)).toBe(expected);
});

test.each([
  ['nothing', ''],
  ['five bytes', '02:42:ac:11:00'],
  ['seven bytes', '02:42:ac:11:00:02:03'],
  ['eight bytes (EUI-64)', '02:42:ac:11:00:02:03:04'],
  ['one digit', '2:42:ac:11:00:02'],
  ['no hex', '02:42:ac:11:00:0g'],
  ['no separators', '0242ac110002'],
  ['a space', ' 02:42:ac:11:00:02'],
  ['a line break', '02:42:ac:11:00:02\n'],
  ['dots in odd places', '02.42.ac.11.00.02'],
  ['a multicast address', '01:00:5e:00:00:01'],
  ['broadcast', 'ff:ff:ff:ff:ff:ff'],
  ['zero', '00:00:00:00:00:00'],
])('parseMac() refuses %s', (_what, text) => {
  expect(parseMac(text)).toBeUndefined();
});

test('randomMac() is unicast, locally administered, and another one each time', () => {
  const macs = Array.from({ length: 200 }, randomMac);
  for (const mac of macs) {
    expect(parseMac(mac)).toBe(mac);
    expect(Number.parseInt(mac.slice(0, 2), 16) & 3).toBe(2);
  }
  expect(new Set(macs).size).toBe(macs.length);
});

test.each([
  ['02:42:ac:11:00:02', 'fe80::42:acff:fe11:2'],
  ['96:ff:9e:01:02:03', 'fe80::94ff:9eff:fe01:203'],
])('linkLocalAddress(%s) is what the kernel makes of it, %s', (mac, expected) => {
  expect(linkLocalAddress(mac)).toBe(expected);
});
