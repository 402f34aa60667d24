/** What a host is warned of, by what is seen of it. */

import { describe, expect, test } from 'vitest';
import { parseFilterTable } from '../../../../plugins/bridge/forward-policy.ts';
import { type Asked, findHarm, type Looked } from '../../../../plugins/bridge/preflight.ts';
import { cidr } from './fixtures.ts';

const asked: Asked = {
  network: 'mynet',
  bridge: 'cni0',
  families: [4, 6],
  gateways: [cidr('10.7.0.1/24'), cidr('fd00:7::1/64')],
};

const healthy: Looked = {
  forwarding: { 4: '1', 6: '1' },
  bridgeForwarding: '1',
  netfilter: { 4: '1', 6: '1' },
  filters: [],
  networks: [],
  configured: [],
};

function harm(looked: Partial<Looked>, over: Partial<Asked> = {}) {
  return findHarm({ ...asked, ...over }, { ...healthy, ...looked });
}

test('a healthy host is warned of nothing', () => {
  expect(harm({})).toEqual({ overlaps: [], warnings: [] });
});

describe('forwarding', () => {
  test('that is off is turned on by ADD, but not where another router is the gateway', () => {
    expect(harm({ forwarding: { 4: '0', 6: '0' } }).warnings).toEqual([]);
    expect(harm({ forwarding: { 4: '0', 6: '1' } }, { families: [4], gateways: [] }).warnings).toEqual([
      'IPv4 forwarding is off, containers cannot reach the outside; run "sysctl -w net.ipv4.ip_forward=1"',
    ]);
  });
  test('that is hidden is told by family', () => {
    expect(harm({ forwarding: { 4: undefined, 6: undefined } }, { families: [6] }).warnings).toEqual([
      'IPv6 forwarding cannot be seen: /proc/sys/net/ipv6/conf/all/forwarding is hidden; make sure that it is 1 on this host',
    ]);
  });
  test.each([
    ['cni0', 'net.ipv4.conf.cni0.forwarding'],
    ['br-lan.5', 'net/ipv4/conf/br-lan.5/forwarding'],
  ])('that is off for the bridge %s alone', (bridge, name) => {
    expect(harm({ bridgeForwarding: '0' }, { bridge }).warnings).toEqual([
      `IPv4 forwarding is off for this bridge; run "sysctl -w ${name}=1"`,
    ]);
  });
});

describe('bridge netfilter', () => {
  test('that is off is told of each family that has a gateway', () => {
    const { warnings } = harm({ netfilter: { 4: '0', 6: '0' } });
    expect(warnings.map((text) => text.split(',')[0])).toEqual([
      'net/bridge/bridge-nf-call-iptables is off',
      'net/bridge/bridge-nf-call-ip6tables is off',
    ]);
    expect(harm({ netfilter: { 4: '0', 6: '0' } }, { gateways: [] }).warnings).toEqual([]);
  });
  test('that is not loaded is told once', () => {
    const { warnings } = harm({ netfilter: { 4: undefined, 6: undefined } });
    expect(warnings).toEqual([expect.stringMatching(/^br_netfilter is not loaded.*"modprobe br_netfilter"$/)]);
  });
});

test('a firewall that drops is told only for the family of a gateway', () => {
  const filters = [parseFilterTable(':FORWARD DROP [0:0]\n', 6)].filter((filter) => filter !== undefined);
  expect(harm({ filters }).warnings).toEqual([
    'chain FORWARD of ip6tables drops what it does not know, and accepts nothing of this bridge; run "ip6tables -I FORWARD -i cni0 -j ACCEPT" and "ip6tables -I FORWARD -o cni0 -j ACCEPT"',
  ]);
  expect(harm({ filters }, { gateways: [cidr('10.7.0.1/24')] }).warnings).toEqual([]);
});

describe('overlaps', () => {
  const known = (text: string) => ({ cidr: cidr(text), what: `something at ${text}` });
  test.each([
    ['10.7.0.0/24', true],
    ['10.0.0.0/8', true],
    ['10.7.0.9/28', true],
    ['10.7.0.9/32', true],
    ['fd00:7::/48', true],
    ['10.8.0.0/16', false],
    ['fd00:8::/64', false],
    // flannel's own device.
    ['10.7.0.0/32', false],
    ['fd00:7::/128', false],
  ])('with %s', (text, expected) => {
    const { overlaps } = harm({ networks: [known(text)] });
    expect(overlaps).toHaveLength(expected ? 1 : 0);
    for (const overlap of overlaps) expect(overlap).toContain(`overlaps with something at ${text}`);
  });
  test('with another configuration, each told once', () => {
    const twice = [known('10.7.0.0/16'), known('10.7.0.0/16')];
    expect(harm({ configured: twice }).overlaps).toEqual([
      '10.7.0.0/24 overlaps with something at 10.7.0.0/16; choose another subnet for one of them',
    ]);
  });
  test('matter to a gateway only', () => {
    expect(harm({ networks: [known('10.7.0.0/24')] }, { gateways: [] }).overlaps).toEqual([]);
  });
});
