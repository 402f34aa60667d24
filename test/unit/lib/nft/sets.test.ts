/** The table: its text, and that each set tells whose address an element is about. */

import { expect, test } from 'vitest';
import { addressIn, ensureSets, isOfMasquerade, isPort } from '../../../../lib/nft/sets.ts';
import { makingGuard, removingGuard } from '../../../../lib/nft/sets-guard.ts';

test('what is shared is made anew in one transaction, whatever was there, and no element of it', () => {
  expect(ensureSets().toString()).toBe(`\
add table inet nodecni { comment "Host ports and masquerading of containers" ; }
add map inet nodecni host_address_ports4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service ; }
add map inet nodecni host_ports4 { type inet_proto . inet_service : ipv4_addr . inet_service ; }
add set inet nodecni excluded_ports4 { type inet_proto . inet_service . ipv4_addr ; flags interval ; }
add set inet nodecni hairpins4 { type ipv4_addr . ipv4_addr ; }
add set inet nodecni masquerade_all4 { type ipv4_addr ; }
add set inet nodecni masqueraded4 { type ipv4_addr ; }
add set inet nodecni own_networks4 { type ipv4_addr . ipv4_addr ; flags interval ; }
add map inet nodecni host_address_ports6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service ; }
add map inet nodecni host_ports6 { type inet_proto . inet_service : ipv6_addr . inet_service ; }
add set inet nodecni excluded_ports6 { type inet_proto . inet_service . ipv6_addr ; flags interval ; }
add set inet nodecni hairpins6 { type ipv6_addr . ipv6_addr ; }
add set inet nodecni masquerade_all6 { type ipv6_addr ; }
add set inet nodecni masqueraded6 { type ipv6_addr ; }
add set inet nodecni own_networks6 { type ipv6_addr . ipv6_addr ; flags interval ; }
add chain inet nodecni host_ports
add chain inet nodecni prerouting { type nat hook prerouting priority -99 ; }
add chain inet nodecni output { type nat hook output priority -99 ; }
add chain inet nodecni postrouting { type nat hook postrouting priority 100 ; }
flush chain inet nodecni host_ports
flush chain inet nodecni prerouting
flush chain inet nodecni output
flush chain inet nodecni postrouting
add rule inet nodecni prerouting fib daddr type local goto host_ports
add rule inet nodecni output fib daddr type local goto host_ports
add rule inet nodecni host_ports dnat ip to ip daddr . meta l4proto . th dport map @host_address_ports4
add rule inet nodecni host_ports meta l4proto . th dport . ip daddr @excluded_ports4 return
add rule inet nodecni host_ports dnat ip to meta l4proto . th dport map @host_ports4
add rule inet nodecni host_ports dnat ip6 to ip6 daddr . meta l4proto . th dport map @host_address_ports6
add rule inet nodecni host_ports meta l4proto . th dport . ip6 daddr @excluded_ports6 return
add rule inet nodecni host_ports dnat ip6 to meta l4proto . th dport map @host_ports6
add rule inet nodecni postrouting ip saddr . ip daddr @hairpins4 masquerade
add rule inet nodecni postrouting ct status dnat ip daddr @masquerade_all4 masquerade
add rule inet nodecni postrouting ip daddr 224.0.0.0/4 return
add rule inet nodecni postrouting ip saddr . ip daddr @own_networks4 return
add rule inet nodecni postrouting ip saddr @masqueraded4 masquerade
add rule inet nodecni postrouting ip6 saddr . ip6 daddr @hairpins6 masquerade
add rule inet nodecni postrouting ct status dnat ip6 daddr @masquerade_all6 masquerade
add rule inet nodecni postrouting ip6 daddr ff00::/8 return
add rule inet nodecni postrouting ip6 saddr . ip6 daddr @own_networks6 return
add rule inet nodecni postrouting ip6 saddr @masqueraded6 masquerade
`);
});

test('the guard of 127.0.0.0/8 is a chain of its own, and can be removed where it is not', () => {
  expect(makingGuard().toString()).toBe(`\
add chain inet nodecni localnet_guard { type filter hook prerouting priority -300 ; }
flush chain inet nodecni localnet_guard
add rule inet nodecni localnet_guard iifname != "lo" ip daddr 127.0.0.0/8 drop
add rule inet nodecni localnet_guard iifname != "lo" ip saddr 127.0.0.0/8 drop
`);
  expect(removingGuard().toString()).toBe(`\
add chain inet nodecni localnet_guard
flush chain inet nodecni localnet_guard
delete chain inet nodecni localnet_guard
`);
});

test.each([
  ['host_address_ports4', '192.0.2.1 . tcp . 8080', '10.1.0.5 . 80', '10.1.0.5'],
  ['host_ports6', 'udp . 8080', 'fd00::5 . 80', 'fd00::5'],
  ['excluded_ports4', 'tcp . 8080 . 192.0.2.0/24', '', ''],
  ['hairpins4', '127.0.0.1 . 10.1.0.5', '', '10.1.0.5'],
  ['masquerade_all6', 'fd00::5', '', 'fd00::5'],
  ['masqueraded4', '10.1.0.5', '', '10.1.0.5'],
  ['own_networks6', 'fd00::5 . fd00::/64', '', 'fd00::5'],
  ['of_others', '10.1.0.5', '', ''],
])('an element of %s (%s) is about an address', (set, key, data, address) => {
  const element = { set, key, data, comment: '' };
  expect(addressIn(element)).toBe(address);
  expect({ port: isPort(element), masquerade: isOfMasquerade(element) }).toEqual({
    port: data !== '',
    masquerade: /^(masqueraded|own)/.test(set),
  });
});
