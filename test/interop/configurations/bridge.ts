/** Configurations of bridge with host-local: its keys by family and version, and nodes that were not new. */

import type { JsonObject } from '../../support/networks.ts';
import { subnets } from '../../support/networks.ts';
import type { World } from '../../support/world.ts';
import type { Configuration } from '../configuration.ts';
import type { DifferenceName } from '../differences.ts';

const four = [subnets[4]];
const six = [subnets[6]];
const both = [subnets[4], subnets[6]];

/** bridge with one range set of each of `ranges`. */
export function bridge(ranges: readonly string[], keys: JsonObject = {}, ipam: JsonObject = {}): JsonObject {
  const sets = ranges.map((subnet) => [{ subnet }]);
  return { type: 'bridge', ipam: { type: 'host-local', dataDir: '@/networks', ranges: sets, ...ipam }, ...keys };
}

/** An attachment without an address on its bridge. */
const withoutGateway = ['bridge-mac'] as const;
const withSix = ['ndisc-notify'] as const;
const withSixGateway = ['ndisc-notify', 'ipv6-gateway'] as const;

const families = [
  { family: 'IPv4', ranges: four, plain: [], gateway: [] },
  { family: 'IPv6', ranges: six, plain: withSix, gateway: withSixGateway },
  { family: 'dual stack', ranges: both, plain: withSix, gateway: withSixGateway },
] as const;

const byFamily = families.flatMap(({ family, ranges, plain, gateway }): Configuration[] =>
  [
    { what: 'no key at all', plugins: [bridge(ranges)], differs: [...plain, ...withoutGateway] },
    { what: 'isGateway', plugins: [bridge(ranges, { isGateway: true })], differs: gateway },
    { what: 'isDefaultGateway', plugins: [bridge(ranges, { isDefaultGateway: true })], differs: gateway },
    {
      what: 'ipMasq without a gateway',
      plugins: [bridge(ranges, { ipMasq: true })],
      differs: [...plain, ...withoutGateway],
    },
    {
      what: 'isDefaultGateway, ipMasq, hairpinMode',
      plugins: [bridge(ranges, { isDefaultGateway: true, ipMasq: true, hairpinMode: true })],
      differs: gateway,
    },
    { what: 'mtu', plugins: [bridge(ranges, { isGateway: true, mtu: 1400 })], differs: gateway },
    { what: 'promiscMode', plugins: [bridge(ranges, { isGateway: true, promiscMode: true })], differs: gateway },
    { what: 'forceAddress', plugins: [bridge(ranges, { isGateway: true, forceAddress: true })], differs: gateway },
  ].map((one) => ({ ...one, what: `${family}: ${one.what}` })),
);

const usual = { isDefaultGateway: true, ipMasq: true };

const byVersion: Configuration[] = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0'].map((version) => ({
  what: `version ${version}`,
  version,
  plugins: [bridge(both, usual)],
  differs: withSixGateway,
}));

const bySpelling: Configuration[] = [
  {
    what: 'keys in other letter cases',
    plugins: [bridge(four, { BRIDGE: 'pods', IsDefaultGateway: true, IPMASQ: true, Mtu: 1400, HAIRPINMODE: true })],
  },
  {
    what: 'null for each key',
    plugins: [bridge(four, { bridge: null, isGateway: null, ipMasq: null, mtu: null, hairpinMode: null, dns: null })],
    differs: withoutGateway,
  },
  { what: 'keys that nobody knows', plugins: [bridge(four, { isGateway: true, color: 'red', ipv9: { a: [1] } })] },
  { what: 'another bridge', plugins: [bridge(four, { bridge: 'pods', isGateway: true })] },
  { what: 'a bridge with a name of 15 bytes', plugins: [bridge(four, { bridge: 'a-bridge.of_15b', isGateway: true })] },
  {
    what: 'an interface with a name of 15 bytes',
    plugins: [bridge(four, usual)],
    attachments: [{ ifname: 'interface-of_15' }],
  },
  {
    what: 'a network name with dots and dashes',
    plugins: [bridge(four, usual)],
    attachments: [{ network: 'a.net_-1' }],
  },
  {
    what: 'a container ID of containerd',
    plugins: [bridge(four, usual)],
    attachments: [{ containerId: '0123456789abcdef'.repeat(4) }],
  },
  {
    what: 'arguments of Kubernetes',
    plugins: [bridge(four, usual)],
    attachments: [
      {
        args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=1',
      },
    ],
  },
];

const mac = '02:00:00:00:00:07';

const byMac: Configuration[] = [
  { what: 'MAC by CNI_ARGS', plugins: [bridge(four, usual)], attachments: [{ args: `IgnoreUnknown=1;MAC=${mac}` }] },
  { what: 'MAC by args', plugins: [bridge(four, { ...usual, args: { cni: { mac } } })] },
  { what: 'MAC by runtimeConfig', plugins: [bridge(four, usual)], attachments: [{ runtimeConfig: { mac } }] },
  {
    what: 'three MACs, of which one is taken',
    plugins: [bridge(four, { ...usual, args: { cni: { mac: '02:00:00:00:00:08' } } })],
    attachments: [{ args: 'IgnoreUnknown=true;MAC=02:00:00:00:00:09', runtimeConfig: { mac } }],
  },
  {
    what: 'a MAC in capital letters',
    plugins: [bridge(four, usual)],
    attachments: [{ runtimeConfig: { mac: '02:00:00:00:00:0A' } }],
  },
];

const byDns: Configuration[] = [
  {
    what: 'dns',
    plugins: [
      bridge(four, {
        ...usual,
        dns: { nameservers: ['10.0.0.53'], domain: 'example.com', search: ['example.com'], options: ['ndots:2'] },
      }),
    ],
  },
  {
    what: 'dns with empty lists',
    plugins: [bridge(four, { ...usual, dns: { nameservers: [], search: [] } }, { resolvConf: '/etc/hosts' })],
  },
  {
    what: 'dns in version 0.4.0',
    version: '0.4.0',
    plugins: [bridge(four, { dns: { nameservers: ['10.0.0.53'] } })],
    differs: withoutGateway,
  },
];

const layer2: Configuration[] = [
  { what: 'layer 2 without ipam', plugins: [{ type: 'bridge' }] },
  { what: 'layer 2 with an empty ipam', plugins: [{ type: 'bridge', ipam: {} }] },
  {
    what: 'layer 2 with hairpinMode, mtu and a MAC',
    plugins: [{ type: 'bridge', hairpinMode: true, mtu: 1400 }],
    attachments: [{ runtimeConfig: { mac } }],
  },
  {
    what: 'layer 2 with gateway and masquerade, which it cannot have',
    plugins: [{ type: 'bridge', isDefaultGateway: true, ipMasq: true }],
  },
  { what: 'layer 2 in version 0.3.1', version: '0.3.1', plugins: [{ type: 'bridge' }] },
  { what: 'layer 2 in version 0.4.0', version: '0.4.0', plugins: [{ type: 'bridge' }] },
].map((one) => ({ ...one, differs: ['bridge-mac', 'check-of-layer-2'] as const }));

/** Each row with one more difference. */
function alsoDiffering(rows: readonly Configuration[], name: DifferenceName): Configuration[] {
  return rows.map((row) => ({ ...row, differs: [...(row.differs ?? []), name] }));
}

/** The node's bridge is there before. */
const onBridge = alsoDiffering(
  [
    { what: 'a bridge that is there', prepare: makeBridge(), plugins: [bridge(both, usual)], differs: withSixGateway },
    { what: 'a bridge that is there, without a gateway', prepare: makeBridge(), plugins: [bridge(four)] },
    {
      what: 'a bridge that has the gateway',
      prepare: makeBridge('10.7.0.1/24', 'fd00:7::1/64'),
      plugins: [bridge(both, usual)],
      differs: withSix,
    },
    {
      what: 'a bridge with another mtu',
      prepare: makeBridge(),
      plugins: [bridge(four, { isGateway: true, mtu: 1300 })],
    },
    {
      what: 'forceAddress on a bridge with another address',
      prepare: makeBridge('10.99.0.1/24'),
      plugins: [bridge(four, { isGateway: true, forceAddress: true })],
    },
    {
      what: 'forceAddress on a bridge with another prefix length',
      prepare: makeBridge('fd00:7::1/48'),
      plugins: [bridge(six, { isGateway: true, forceAddress: true })],
      differs: withSixGateway,
    },
    {
      what: 'IPv6 on a bridge with another network',
      prepare: makeBridge('fd00:99::1/64'),
      plugins: [bridge(six, { isGateway: true })],
      differs: [...withSixGateway, 'idle-bridge'],
    },
  ],
  'accept-ra',
);

function makeBridge(...addresses: string[]): (world: World) => Promise<unknown> {
  const lines = ['link add cni0 address 02:00:00:00:00:01 type bridge', 'link set cni0 up'];
  for (const address of addresses)
    lines.push(`address add ${address} dev cni0${address.includes(':') ? ' nodad' : ''}`);
  return ({ node }) => node.run('/bin/sh', '-c', `ip -batch - <<'.'\n${lines.join('\n')}\n.`);
}

const second = { bridge: 'cni1', ipam: { type: 'host-local', dataDir: '@/networks', subnet: '10.8.0.0/24' } };

const many: Configuration[] = [
  { what: 'two containers', plugins: [bridge(both, usual)], attachments: [{}, { pod: 2 }], differs: withSixGateway },
  {
    what: 'two containers without a gateway',
    prepare: makeBridge(),
    plugins: [bridge(four)],
    attachments: [{}, { pod: 2 }],
    differs: ['accept-ra'],
  },
  {
    what: 'two interfaces on one network',
    plugins: [bridge(four, { isGateway: true })],
    attachments: [{}, { ifname: 'eth1' }],
  },
  {
    what: 'two interfaces on two networks',
    plugins: [bridge(four, usual)],
    attachments: [
      {},
      { ifname: 'eth1', network: 'second', over: { ...second, isDefaultGateway: false, isGateway: true } },
    ],
  },
];

export const bridgeConfigurations: readonly Configuration[] = [
  ...byFamily,
  ...byVersion,
  ...bySpelling,
  ...byMac,
  ...byDns,
  ...layer2,
  ...onBridge,
  ...many,
];

/** Keys of which some kernels know nothing, and those to come. */
export const laterConfigurations: readonly Configuration[] = [
  { what: 'portIsolation', plugins: [bridge(four, { ...usual, portIsolation: true })] },
  {
    what: 'enabledad',
    plugins: [bridge(both, { ...usual, enabledad: true })],
    differs: withSixGateway,
  },
  {
    what: 'disableContainerInterface',
    plugins: [{ type: 'bridge', disableContainerInterface: true }],
    differs: ['bridge-mac', 'check-of-layer-2'],
  },
  { what: 'macspoofchk', plugins: [bridge(four, { ...usual, macspoofchk: true })] },
  ...families.map(
    ({ family, ranges, gateway }): Configuration => ({
      what: `${family}: ipMasqBackend nftables`,
      plugins: [bridge(ranges, { ...usual, ipMasqBackend: 'nftables' })],
      differs: gateway,
    }),
  ),
  { what: 'ipMasqBackend iptables', plugins: [bridge(four, { ...usual, ipMasqBackend: 'iptables' })] },
];

/** For kernels with bridge VLAN filtering. */
export const vlanConfigurations: readonly Configuration[] = [
  { what: 'vlan', keys: { vlan: 100 } },
  { what: 'vlan and preserveDefaultVlan', keys: { vlan: 100, preserveDefaultVlan: true } },
  { what: 'vlanTrunk', keys: { vlanTrunk: [{ id: 7 }, { minID: 10, maxID: 12 }] } },
  { what: 'vlan and vlanTrunk', keys: { vlan: 100, vlanTrunk: [{ id: 7 }] } },
].map(({ what, keys }) => ({ what, plugins: [bridge(four, keys)], differs: withoutGateway }));
