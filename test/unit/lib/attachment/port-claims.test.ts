/** Which claims meet, and the text that an index keeps of them. */

import { describe, expect, test } from 'vitest';
import {
  claimsMeet,
  claimsOf,
  contested,
  formatClaim,
  type PortClaim,
  parseClaim,
} from '../../../../lib/attachment/port-claims.ts';
import { mapping } from '../hostports/fixtures.ts';

function claim(text: string): PortClaim {
  const parsed = parseClaim(text);
  if (parsed === undefined) throw new Error(`no claim: ${text}`);
  return parsed;
}

describe('claimsMeet()', () => {
  test.each([
    // The same port of the same protocol.
    ['tcp 80', 'tcp 80', true],
    ['tcp 80', 'tcp 81', false],
    ['tcp 53', 'udp 53', false],
    ['sctp 53', 'udp 53', false],
    // Ranges.
    ['tcp 8000-8999', 'tcp 8500', true],
    ['tcp 8000-8999', 'tcp 8999-9000', true],
    ['tcp 8000-8999', 'tcp 7000-8000', true],
    ['tcp 8000-8999', 'tcp 9000-9999', false],
    // No address: both families.
    ['tcp 80', 'tcp 80 192.0.2.1', true],
    ['tcp 80', 'tcp 80 2001:db8::1', true],
    ['tcp 80', 'tcp 80 0.0.0.0', true],
    ['tcp 80', 'tcp 80 ::', true],
    // Every address of one family.
    ['tcp 80 0.0.0.0', 'tcp 80 192.0.2.1', true],
    ['tcp 80 ::', 'tcp 80 2001:db8::1', true],
    ['tcp 80 0.0.0.0', 'tcp 80 2001:db8::1', false],
    ['tcp 80 ::', 'tcp 80 192.0.2.1', false],
    ['tcp 80 0.0.0.0', 'tcp 80 ::', false],
    // One address.
    ['tcp 80 192.0.2.1', 'tcp 80 192.0.2.1', true],
    ['tcp 80 192.0.2.1', 'tcp 80 192.0.2.2', false],
    ['tcp 80 192.0.2.1', 'tcp 80 127.0.0.1', false],
    ['tcp 80 192.0.2.1', 'tcp 80 2001:db8::1', false],
  ])('"%s" and "%s": %s, either way round', (one, two, meet) => {
    expect(claimsMeet(claim(one), claim(two))).toBe(meet);
    expect(claimsMeet(claim(two), claim(one))).toBe(meet);
  });
});

describe('claimsOf()', () => {
  test('joins ports that follow one another, in whatever order they come', () => {
    const ports = [8003, 8001, 8002, 9000, 8001];
    expect(claimsOf(ports.map((port) => mapping(port))).map(formatClaim)).toEqual(['tcp 8001-8003', 'tcp 9000']);
  });

  test('keeps protocols and addresses apart', () => {
    const mappings = [
      mapping(53),
      mapping(54, { protocol: 'udp' }),
      mapping(55, { hostIp: '192.0.2.1' }),
      mapping(54, { hostIp: '::' }),
    ];
    expect(claimsOf(mappings).map(formatClaim)).toEqual(['tcp 53', 'tcp 55 192.0.2.1', 'tcp 54 ::', 'udp 54']);
  });

  test('makes one of a thousand', () => {
    expect(claimsOf(Array.from({ length: 1000 }, (_, index) => mapping(20_000 + index)))).toHaveLength(1);
  });
});

test('contested() picks the mappings that are claimed, too', () => {
  const [one, two, three] = [mapping(80), mapping(81, { hostIp: '192.0.2.1' }), mapping(80, { protocol: 'udp' })];
  expect(contested([one, two, three], [claim('tcp 80-81 0.0.0.0')])).toEqual([one, two]);
  expect(contested([one, two, three], [])).toEqual([]);
});

test.each(['tcp 80', 'udp 8000-8999', 'sctp 1 0.0.0.0', 'tcp 65535 2001:db8::1'])(
  '"%s" is read as it is written',
  (text) => {
    expect(formatClaim(claim(text))).toBe(text);
  },
);

test.each(['', 'tcp', 'icmp 1', 'tcp 80 192.0.2.1 x', 'tcp -80'])('"%s" is no claim', (text) => {
  expect(parseClaim(text)).toBeUndefined();
});
