/** What one attachment puts into the sets. */

import { describe, expect, test } from 'vitest';
import type { Forwarding } from '../../../../lib/hostports/forwarding.ts';
import { elementsOf } from '../../../../lib/hostports/sets-elements.ts';
import { masqueradeComment } from '../../../../lib/nft/masquerades.ts';
import { dualStack, forwarding, mapping } from './fixtures.ts';

/** `host_ports4: tcp . 8080 : 10.88.0.5 . 80` */
function texts(over: Partial<Forwarding>): string[] {
  return elementsOf(forwarding({ backend: 'sets', ...over })).map(
    ({ set, key, data }) => `${set}: ${key}${data === '' ? '' : ` : ${data}`}`,
  );
}

test('each element says whose it is', () => {
  const comments = elementsOf(forwarding(dualStack)).map(({ comment }) => comment);
  expect(new Set(comments)).toEqual(
    new Set([masqueradeComment({ network: 'test', containerId: '1234', ifname: 'eth0' })]),
  );
});

test('a port leads to the address of each family, and what would not come back is masqueraded', () => {
  expect(texts(dualStack)).toEqual([
    'host_ports4: tcp . 8080 : 10.88.0.5 . 80',
    'hairpins4: 10.88.0.5 . 10.88.0.5',
    'hairpins4: 127.0.0.1 . 10.88.0.5',
    'host_ports6: tcp . 8080 : fd00:88::5 . 80',
    'hairpins6: fd00:88::5 . fd00:88::5',
  ]);
});

test('a port of one address of the host is of that alone, and of its family', () => {
  const mappings = [
    mapping(53, { protocol: 'udp', hostIp: '192.0.2.1', containerPort: 5353 }),
    mapping(54, { protocol: 'sctp', hostIp: '2001:db8::1' }),
    mapping(55, { hostIp: '0.0.0.0' }),
    mapping(56, { hostIp: '::' }),
  ];
  expect(texts({ ...dualStack, mappings, snat: false })).toEqual([
    'host_address_ports4: 192.0.2.1 . udp . 53 : 10.88.0.5 . 5353',
    'host_ports4: tcp . 55 : 10.88.0.5 . 80',
    'host_address_ports6: 2001:db8::1 . sctp . 54 : fd00:88::5 . 80',
    'host_ports6: tcp . 56 : fd00:88::5 . 80',
  ]);
});

describe('masquerading', () => {
  test('of everything', () => {
    expect(texts({ masqAll: true })).toContain('masquerade_all4: 10.88.0.5');
  });

  test('of nothing', () => {
    expect(texts({ masqAll: true, snat: false })).toEqual(['host_ports4: tcp . 8080 : 10.88.0.5 . 80']);
  });
});

test('of two mappings of one port the first counts, as with rules', () => {
  const mappings = [mapping(8080), mapping(8080, { containerPort: 81 }), mapping(8080, { hostIp: '0.0.0.0' })];
  expect(texts({ mappings, snat: false })).toEqual(['host_ports4: tcp . 8080 : 10.88.0.5 . 80']);
});

describe('excluded addresses', () => {
  const excludes = { 4: ['192.0.2.0/24', '192.0.2.10/32', '203.0.113.7/32'], 6: [] };
  const excluded = (mappings: Forwarding['mappings']) => texts({ ...dualStack, excludes, mappings, snat: false });

  test('are left out of ports of every address, neighbours together', () => {
    expect(excluded([mapping(9001), mapping(9000), mapping(9002, { hostIp: '0.0.0.0' })])).toEqual([
      'host_ports4: tcp . 9001 : 10.88.0.5 . 80',
      'host_ports4: tcp . 9000 : 10.88.0.5 . 80',
      'host_ports4: tcp . 9002 : 10.88.0.5 . 80',
      'excluded_ports4: tcp . 9000-9002 . 192.0.2.0/24',
      'excluded_ports4: tcp . 9000-9002 . 203.0.113.7',
      'host_ports6: tcp . 9001 : fd00:88::5 . 80',
      'host_ports6: tcp . 9000 : fd00:88::5 . 80',
    ]);
  });

  test('get no port of their own', () => {
    expect(excluded([mapping(9000, { hostIp: '192.0.2.5' }), mapping(9001, { hostIp: '198.51.100.1' })])).toEqual([
      'host_address_ports4: 198.51.100.1 . tcp . 9001 : 10.88.0.5 . 80',
    ]);
  });
});

test.each([
  ['no mapping', { mappings: [] }],
  ['no mapping of the family', { mappings: [mapping(80, { hostIp: '::1' })] }],
  ['no address', { targets: {} }],
])('nothing with %s', (_, over) => {
  expect(texts(over)).toEqual([]);
});
