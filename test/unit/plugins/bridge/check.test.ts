/** CHECK: a healthy attachment has no problem, and each thing that breaks is named. */

import { describe, expect, test } from 'vitest';
import type { Result } from '../../../../lib/cni/result.ts';
import type { LinkInfo, RouteInfo } from '../../../../lib/iproute2/show.ts';
import { findProblem } from '../../../../plugins/bridge/check.ts';
import type { Expected, Seen } from '../../../../plugins/bridge/check-subject.ts';
import { planResult } from '../../../../plugins/bridge/plan.ts';
import { attachmentOf, link, netns, owner, pair } from './fixtures.ts';

const KEYS = { isDefaultGateway: true, ipMasq: true, hairpinMode: true };
const BRIDGE_MAC = '02:00:00:00:00:0b';

const attachment = attachmentOf(KEYS, {
  ips: [{ address: '10.1.0.5/24' }, { address: 'fd00::5/64' }],
  routes: [
    { dst: '10.9.0.0/16', gw: '10.1.0.9' },
    { dst: 'FD09::/48' },
    { dst: '10.7.7.7/32', table: 100 },
    { dst: '10.6.0.0/16', table: 255 },
  ],
});

const expected: Expected = {
  config: attachment.config,
  owner,
  firewalls: ['iptables'],
  ifname: 'eth0',
  netns,
  result: planResult(attachment, { mac: BRIDGE_MAC, gateway: undefined }),
};

const bridge = link('cni0', { address: BRIDGE_MAC, addresses: ['10.1.0.1/24', 'fd00::1/64', 'fe80::1/64'] });
const port = link(pair.hostName, {
  ifindex: 12,
  address: pair.hostMac,
  master: 'cni0',
  linkinfo: { info_kind: 'veth', info_slave_kind: 'bridge', info_slave_data: { hairpin: true } },
});
const inside = link('eth0', {
  ifindex: 2,
  link_index: 12,
  address: pair.containerMac,
  linkinfo: { info_kind: 'veth' },
  addresses: ['10.1.0.5/24', 'fd00::5/64', 'fe80::2/64'],
});
const ROUTES: readonly RouteInfo[] = [
  { dst: 'default', gateway: '10.1.0.1', dev: 'eth0', table: 'main' },
  { dst: '10.1.0.0/24', dev: 'eth0' },
  { dst: '10.9.0.0/16', gateway: '10.1.0.9', dev: 'eth0' },
  { dst: '10.7.7.7', dev: 'eth0', table: '100' },
  { dst: '10.6.0.0/16', dev: 'eth0', table: 'local' },
  { dst: 'default', gateway: 'fd00::1', dev: 'eth0' },
  { dst: 'fd09::/48', gateway: 'fd00::1', dev: 'eth0' },
];

const healthy: Seen = {
  hostLinks: links(bridge, port),
  containerLink: inside,
  containerRoutes: ROUTES,
  forwarding: { 4: true, 6: true },
  missingRules: [],
  vlans: new Map(),
  missingSpoofRule: undefined,
};

function links(...all: LinkInfo[]): Seen['hostLinks'] {
  return new Map(all.map((one) => [one.ifname, one]));
}

function withPort(over: Partial<LinkInfo>): Partial<Seen> {
  return { hostLinks: links(bridge, { ...port, ...over }) };
}

function withBridge(over: Partial<LinkInfo>): Partial<Seen> {
  return { hostLinks: links({ ...bridge, ...over }, port) };
}

function without(dst: string, gateway?: string): Partial<Seen> {
  return { containerRoutes: ROUTES.filter((route) => route.dst !== dst || route.gateway !== gateway) };
}

function withRoute(dst: string, over: Partial<RouteInfo>): Partial<Seen> {
  return { containerRoutes: ROUTES.map((route) => (route.dst === dst ? { ...route, ...over } : route)) };
}

test('findProblem() finds none in a healthy attachment', () => {
  expect(findProblem(expected, healthy)).toBeUndefined();
});

test.each<[string, Partial<Seen>]>([
  ['a port in upper case', withPort({ address: '0A:00:00:00:00:01' })],
  ['more routes than asked for', { containerRoutes: [...ROUTES, { dst: '10.99.0.0/16', dev: 'eth0' }] }],
  [
    'more addresses than asked for',
    { containerLink: { ...inside, addr_info: [...(inside.addr_info ?? []), ...(bridge.addr_info ?? [])] } },
  ],
  ['a table that has a name on this host', withRoute('10.7.7.7', { table: 'blue' })],
  ['a bridge in promiscuous mode that nobody asked for', withBridge({ flags: ['UP', 'PROMISC'] })],
])('findProblem() does not mind %s', (_what, seen) => {
  expect(findProblem(expected, { ...healthy, ...seen })).toBeUndefined();
});

describe('findProblem() names', () => {
  test.each<[string, Partial<Seen>, string]>([
    ['no bridge', { hostLinks: links(port) }, 'bridge cni0 does not exist'],
    [
      'something else',
      withBridge({ linkinfo: { info_kind: 'dummy' } }),
      'Interface cni0 does not have link type of bridge',
    ],
    ['a bridge that is down', withBridge({ flags: [] }), 'bridge cni0 is down'],
    [
      'another bridge MAC',
      withBridge({ address: '02:00:00:00:00:0c' }),
      `Bridge interface cni0 Mac doesn't match: expected ${BRIDGE_MAC}, found 02:00:00:00:00:0c`,
    ],
    ['no container link', { containerLink: undefined }, `container interface eth0 does not exist in ${netns}`],
    [
      'another kind',
      { containerLink: { ...inside, linkinfo: { info_kind: 'dummy' } } },
      'container interface eth0 is no veth',
    ],
    ['a link that is down', { containerLink: { ...inside, flags: [] } }, 'container interface eth0 is down'],
    [
      'another MAC',
      { containerLink: { ...inside, address: '02:00:00:00:00:0c' } },
      `container interface eth0 has MAC address 02:00:00:00:00:0c, expected ${pair.containerMac}`,
    ],
    ['no port', { hostLinks: links(bridge) }, 'CNI veth created for bridge cni0 was not found'],
    ['another far end', withPort({ ifindex: 13 }), 'CNI veth created for bridge cni0 was not found'],
    ['another master', withPort({ master: 'br9' }), `host interface ${pair.hostName} is not a port of bridge cni0`],
    ['a port that is down', withPort({ operstate: 'DOWN' }), `host interface ${pair.hostName} is DOWN`],
    [
      'no hairpin',
      withPort({ linkinfo: { info_slave_data: { hairpin: false } } }),
      `hairpin mode of ${pair.hostName} is off, expected on`,
    ],
    [
      'no address',
      { containerLink: link('eth0', { ...inside, addresses: ['10.1.0.5/24'] }) },
      'Failed to match addr fd00::5/64 on interface eth0',
    ],
    [
      'another length',
      { containerLink: link('eth0', { ...inside, addresses: ['10.1.0.5/25', 'fd00::5/64'] }) },
      'Failed to match addr 10.1.0.5/24 on interface eth0',
    ],
    [
      'no default route',
      without('default', '10.1.0.1'),
      'Expected Route 0.0.0.0/0 via 10.1.0.1 not found in routing table',
    ],
    [
      'no IPv6 default route',
      without('default', 'fd00::1'),
      'Expected Route ::/0 via fd00::1 not found in routing table',
    ],
    [
      'another gateway',
      withRoute('10.9.0.0/16', { gateway: '10.1.0.8' }),
      'Expected Route 10.9.0.0/16 via 10.1.0.9 not found in routing table',
    ],
    [
      'a route in another table',
      withRoute('10.7.7.7', { table: 'main' }),
      'Expected Route 10.7.7.7/32 not found in routing table',
    ],
    [
      'a table of another number',
      withRoute('10.7.7.7', { table: '101' }),
      'Expected Route 10.7.7.7/32 not found in routing table',
    ],
    ['a route gone from its table', without('10.6.0.0/16'), 'Expected Route 10.6.0.0/16 not found in routing table'],
    [
      'no gateway address',
      { hostLinks: links(link('cni0', { ...bridge, addresses: ['10.1.0.1/24'] }), port) },
      'bridge cni0 lacks the gateway address fd00::1/64',
    ],
    ['no forwarding', { forwarding: { 4: false, 6: true } }, 'IPv4 forwarding is off on this host'],
    ['no IPv6 forwarding', { forwarding: { 4: true, 6: false } }, 'IPv6 forwarding is off on this host'],
  ])('%s', (_what, seen, message) => {
    const problem = findProblem(expected, { ...healthy, ...seen });
    expect(problem?.message).toBe(message);
    expect(problem?.details).not.toBe('');
  });

  test('a missing masquerade rule', () => {
    const missingRules = ['in chain POSTROUTING of IPv4 table nat: -s 10.1.0.5/32', 'in chain X of IPv4 table nat: -d'];
    expect(findProblem(expected, { ...healthy, missingRules })?.message).toBe(
      'masquerade rule missing in chain POSTROUTING of IPv4 table nat: -s 10.1.0.5/32',
    );
  });

  test.each<[string, Partial<Result>, Partial<Expected>, string]>([
    [
      'another bridge',
      {},
      { config: { ...attachment.config, bridge: 'br9' } },
      'Interface br9 not found in prevResult',
    ],
    [
      'no container interface',
      { interfaces: expected.result.interfaces.slice(0, 2) },
      {},
      'Interface eth0 not found in prevResult',
    ],
    ['another name', {}, { ifname: 'eth1' }, 'Interface eth1 not found in prevResult'],
    [
      'another namespace',
      {},
      { netns: '/other' },
      `Sandbox in prevResult ${netns} doesn't match configured netns: /other`,
    ],
  ])('a prevResult with %s', (_what, result, over, message) => {
    const given = { ...expected, ...over, result: { ...expected.result, ...result } };
    expect(findProblem(given, healthy)?.message).toBe(message);
  });

  test('a bridge that is not promiscuous', () => {
    const given = { ...expected, config: { ...attachment.config, hairpinMode: false, promiscMode: true } };
    expect(findProblem(given, healthy)?.message).toBe('bridge cni0 is not in promiscuous mode');
  });

  test('hairpin mode that nobody asked for', () => {
    const given = { ...expected, config: { ...attachment.config, hairpinMode: false } };
    expect(findProblem(given, healthy)?.message).toBe(`hairpin mode of ${pair.hostName} is on, expected off`);
  });
});

describe('findProblem() of what ports may do', () => {
  const withConfig = (over: Partial<typeof attachment.config>): Expected => ({
    ...expected,
    config: { ...attachment.config, ...over },
  });
  const slave = (data: object) =>
    withPort({ linkinfo: { info_kind: 'veth', info_slave_data: { hairpin: true, ...data } } });

  test.each([
    ['isolated as asked', true, { isolated: true }, undefined],
    ['not isolated as asked', false, { isolated: false }, undefined],
    ['isolated, which nobody asked for', false, { isolated: true }, 'is on, expected off'],
    ['not isolated', true, { isolated: false }, 'is off, expected on'],
    ['unknown to an old ip', true, {}, undefined],
  ])('%s', (_what, portIsolation, data, message) => {
    const found = findProblem(withConfig({ portIsolation }), { ...healthy, ...slave(data) });
    expect(found?.message).toBe(message && `isolated mode of ${pair.hostName} ${message}`);
  });

  test('names the rule against spoofed MAC addresses that is missing', () => {
    const found = findProblem(expected, { ...healthy, missingSpoofRule: 'drop comment "x"' });
    expect(found?.message).toContain('spoofed MAC addresses missing in the nftables table bridge nat: drop');
  });

  test('minds no link that is down where it was asked to be', () => {
    const down = { ...inside, flags: ['BROADCAST'] };
    const seen = { ...healthy, ...withPort({ operstate: 'LOWERLAYERDOWN' }), containerLink: down };
    expect(findProblem(withConfig({ staysDown: true }), seen)).toBeUndefined();
    expect(findProblem(expected, seen)).toBeDefined();
  });

  const vlans = { native: 5, trunk: [], keepsDefault: false };
  const own = [{ vlan: 5, flags: ['PVID', 'Egress Untagged'] }];
  const inVlan = {
    ...withConfig({ vlans, isGateway: true }),
    result: planResult(attachment, { mac: BRIDGE_MAC, gateway: { name: 'cni0.5', mac: '02:00:00:00:00:0c' } }),
  };
  const gateway = link('cni0.5', { link: 'veth9', addresses: ['10.1.0.1/24', 'fd00::1/64'] });
  const seen: Seen = {
    ...healthy,
    hostLinks: links({ ...bridge, addr_info: [] }, port, gateway),
    vlans: new Map([
      [pair.hostName, own],
      ['veth9', own],
    ]),
  };

  test('finds the gateway addresses on the gateway of the VLAN', () => {
    expect(findProblem(inVlan, seen)).toBeUndefined();
    const bare = { ...seen, hostLinks: links(bridge, port, { ...gateway, addr_info: [] }) };
    expect(findProblem(inVlan, bare)?.message).toBe('VLAN gateway cni0.5 lacks the gateway address 10.1.0.1/24');
  });

  test.each([
    ['the pair', pair.hostName],
    ['the gateway', 'veth9'],
  ])('names the VLAN that the port of %s lost', (_what, name) => {
    const lost = { ...seen, vlans: new Map([...seen.vlans].filter(([port]) => port !== name)) };
    expect(findProblem(inVlan, lost)?.message).toBe(
      `VLANs of ${name} are not as they should be: VLAN 5 is missing, expected native and untagged`,
    );
  });
});

test('findProblem() asks a layer 2 bridge for links only', () => {
  const layer2 = attachmentOf({}, {});
  const given = {
    ...expected,
    config: layer2.config,
    result: planResult(layer2, { mac: BRIDGE_MAC, gateway: undefined }),
  };
  const seen: Seen = {
    hostLinks: links({ ...bridge, addr_info: [] }, { ...port, linkinfo: {} }),
    containerLink: { ...inside, addr_info: [] },
    containerRoutes: [],
    forwarding: { 4: false, 6: false },
    missingRules: [],
    vlans: new Map(),
    missingSpoofRule: undefined,
  };
  expect(findProblem(given, seen)).toBeUndefined();
});
