/** The choice between the two firewalls: where rules live, then what can be used. */

import { expect, test } from 'vitest';
import { decide, holders } from '../../../../lib/firewall/decide.ts';

const NAT = ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'];

test.each([
  [NAT, [], 'iptables', "it can be used, and nobody's rules say otherwise"],
  [NAT, undefined, 'iptables', "it can be used, and nobody's rules say otherwise"],
  [undefined, ['ip nat'], 'nftables', 'iptables cannot be used on this host'],
  [[...NAT, 'KUBE-SERVICES'], [], 'iptables', 'chain KUBE-SERVICES is there'],
  [NAT, ['ip kube-proxy', 'ip6 kube-proxy'], 'nftables', 'table ip kube-proxy is there'],
  [NAT, ['inet firewalld'], 'nftables', 'table inet firewalld is there'],
  [[...NAT, 'POSTROUTING_direct'], [], 'iptables', 'chain POSTROUTING_direct is there'],
  [[...NAT, 'KUBE-SERVICES'], ['ip cni_hostport'], 'nftables', 'table ip cni_hostport is there'],
  [[...NAT, 'CNI-HOSTPORT-DNAT'], ['ip kube-proxy', 'inet firewalld'], 'iptables', 'chain CNI-HOSTPORT-DNAT is there'],
  [[...NAT, 'CNI-HOSTPORT-DNAT'], ['inet cni_plugins_masquerade'], 'iptables', 'chain CNI-HOSTPORT-DNAT is there'],
  [[...NAT, 'KUBE-SERVICES'], ['inet firewalld'], 'iptables', 'chain KUBE-SERVICES is there'],
  [NAT, ['inet nodecni'], 'iptables', "it can be used, and nobody's rules say otherwise"],
  [NAT, ['ip mycni_hostport', 'inet cni_other'], 'iptables', "it can be used, and nobody's rules say otherwise"],
])('decide() for chains %j and tables %j: %s, since %s', (chains, tables, backend, why) => {
  expect(decide({ chains, tables })).toEqual({ backend, why });
});

test('decide() has no answer where neither can be used', () => {
  expect(decide({ chains: undefined, tables: undefined })).toBeUndefined();
});

test.each([
  [NAT, [], []],
  [undefined, undefined, []],
  [[...NAT, 'CNI-2bbe0c48b91a7d1b8a6753a8'], ['inet firewalld'], ['iptables']],
  [NAT, ['ip6 cni_hostport'], ['nftables']],
  [[...NAT, 'CNI-HOSTPORT-DNAT'], ['ip cni_hostport'], ['iptables', 'nftables']],
  [NAT, ['inet nodecni', 'ip nodecni'], ['sets']],
])('holders() for chains %j and tables %j: %j', (chains, tables, found) => {
  expect(holders({ chains, tables })).toEqual(found);
});
