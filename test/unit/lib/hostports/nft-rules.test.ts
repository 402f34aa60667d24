/** The script of an ADD in nftables is the reference's, line for line. */

import { describe, expect, test } from 'vitest';
import type { Forwarding } from '../../../../lib/hostports/forwarding.ts';
import { addOwned, ensureShared, nftRulesOf } from '../../../../lib/hostports/nft-rules.ts';
import type { Family } from '../../../../lib/net/ip.ts';
import { dualStack, forwarding, mapping } from './fixtures.ts';

function script(over: Partial<Forwarding>, family: Family = 4): string {
  const rules = nftRulesOf(forwarding({ backend: 'nftables', ...over }), family);
  return rules === undefined ? '' : addOwned(ensureShared(rules), rules).toString();
}

function owned(over: Partial<Forwarding>, family: Family = 4): string[] {
  return script(over, family)
    .split('\n')
    .filter((line) => line.endsWith('comment "1234"'))
    .map((line) => line.replace(/^add rule ip6? cni_hostport /, '').replace(/ comment "1234"$/, ''));
}

test('all of it, for one port', () => {
  expect(script({})).toBe(`\
add table ip cni_hostport { comment "CNI portmap plugin" ; }
add chain ip cni_hostport hostports
add chain ip cni_hostport hostip_hostports
add chain ip cni_hostport hostports_all
add chain ip cni_hostport prerouting { type nat hook prerouting priority -100 ; }
add chain ip cni_hostport output { type nat hook output priority -100 ; }
add chain ip cni_hostport masquerading { type nat hook postrouting priority 100 ; }
flush chain ip cni_hostport hostports_all
flush chain ip cni_hostport prerouting
flush chain ip cni_hostport output
add rule ip cni_hostport hostports_all jump hostip_hostports
add rule ip cni_hostport hostports_all jump hostports
add rule ip cni_hostport prerouting fib daddr type local jump hostports_all
add rule ip cni_hostport output fib daddr type local jump hostports_all
add rule ip cni_hostport hostports tcp dport 8080 dnat to 10.88.0.5:80 comment "1234"
add rule ip cni_hostport masquerading ip saddr 10.88.0.5 ip daddr 10.88.0.5 masquerade comment "1234"
add rule ip cni_hostport masquerading ip saddr 127.0.0.1 ip daddr 10.88.0.5 masquerade comment "1234"
`);
});

describe('the rules of the container', () => {
  const own = 'masquerading ip saddr 10.88.0.5 ip daddr 10.88.0.5 masquerade';
  const local = 'masquerading ip saddr 127.0.0.1 ip daddr 10.88.0.5 masquerade';

  test('IPv6: brackets, and no localhost', () => {
    expect(owned(dualStack, 6)).toEqual([
      'hostports tcp dport 8080 dnat to [fd00:88::5]:80',
      'masquerading ip6 saddr fd00:88::5 ip6 daddr fd00:88::5 masquerade',
    ]);
    expect(script({}, 6)).toBe('');
  });

  test('addresses to exclude stand before everything else', () => {
    const excludes = { 4: ['192.0.2.10/32', '198.51.100.0/24'], 6: ['2001:db8::10/128'] };
    const mappings = [mapping(1, { hostIp: '192.0.2.1' }), mapping(2)];
    expect(owned({ ...dualStack, excludes, mappings, snat: false })).toEqual([
      'hostports ip daddr != { 192.0.2.10/32, 198.51.100.0/24 } ip daddr 192.0.2.1 tcp dport 1 dnat to 10.88.0.5:80',
      'hostports ip daddr != { 192.0.2.10/32, 198.51.100.0/24 } tcp dport 2 dnat to 10.88.0.5:80',
    ]);
    expect(owned({ ...dualStack, excludes, snat: false }, 6)).toEqual([
      'hostports ip6 daddr != { 2001:db8::10/128 } tcp dport 8080 dnat to [fd00:88::5]:80',
    ]);
  });

  test('a hostIP narrows down, in its family; 0.0.0.0 and :: only choose it', () => {
    const mappings = [
      mapping(1, { hostIp: '192.0.2.1' }),
      mapping(2, { hostIp: '2001:db8::1', protocol: 'sctp' }),
      mapping(3, { hostIp: '0.0.0.0', protocol: 'udp' }),
      mapping(4, { hostIp: '::' }),
    ];
    expect(owned({ ...dualStack, mappings }).slice(0, -2)).toEqual([
      'hostports ip daddr 192.0.2.1 tcp dport 1 dnat to 10.88.0.5:80',
      'hostports udp dport 3 dnat to 10.88.0.5:80',
    ]);
    expect(owned({ ...dualStack, mappings }, 6).slice(0, -1)).toEqual([
      'hostports ip6 daddr 2001:db8::1 sctp dport 2 dnat to [fd00:88::5]:80',
      'hostports tcp dport 4 dnat to [fd00:88::5]:80',
    ]);
  });

  test('without snat nothing is masqueraded, and there is no chain for it', () => {
    expect(owned({ snat: false })).toEqual(['hostports tcp dport 8080 dnat to 10.88.0.5:80']);
    expect(script({ snat: false })).not.toContain('masquerading');
  });

  test('masqAll adds what is forwarded from elsewhere', () => {
    expect(owned({ masqAll: true }).slice(1)).toEqual([
      own,
      local,
      'masquerading ct status dnat ip daddr 10.88.0.5 masquerade',
    ]);
    expect(owned({ masqAll: true, snat: false })).toHaveLength(1);
  });

  test('conditions stand before each port, not in what all containers share', () => {
    const conditions = { 4: ['ip', 'saddr', '!=', '10.9.0.0/16'], 6: [] };
    expect(owned({ conditions })).toEqual([
      'hostports ip saddr != 10.9.0.0/16 tcp dport 8080 dnat to 10.88.0.5:80',
      own,
      local,
    ]);
    expect(script({ conditions })).toContain('prerouting fib daddr type local');
  });
});
