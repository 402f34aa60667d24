/** Configurations of bridge, host-local and portmap in a chain. */

import { bothProtocols, type JsonObject, subnets } from '../../support/networks.ts';
import { addresses, type World } from '../../support/world.ts';
import type { Configuration } from '../configuration.ts';
import { bridge } from './bridge.ts';

const usual = { isDefaultGateway: true, ipMasq: true, hairpinMode: true };
const sixGateway = ['ndisc-notify', 'ipv6-gateway'] as const;
const guard = ['route-localnet'] as const;
const needless = ['route-localnet-needless'] as const;

const families = [
  { family: 'IPv4', ranges: [subnets[4]], differs: guard },
  { family: 'IPv6', ranges: [subnets[6]], differs: sixGateway },
  { family: 'dual stack', ranges: [subnets[4], subnets[6]], differs: [...sixGateway, ...guard] },
] as const;

function mapping(protocol: string, hostPort: number, hostIP?: string): JsonObject {
  return { hostPort, containerPort: 80, protocol, ...(hostIP !== undefined && { hostIP }) };
}

const single = bothProtocols(8080, 80);
const every = [
  ...single,
  mapping('sctp', 9000),
  mapping('tcp', 9001, addresses.node[4]),
  mapping('tcp', 9002, addresses.node[6]),
  mapping('udp', 9003, '0.0.0.0'),
  mapping('udp', 9004, '::'),
  ...Array.from({ length: 16 }, (_, index) => mapping('tcp', 10_000 + index)),
];

const byFamily = families.flatMap(({ family, ranges, differs }): Configuration[] => [
  { what: `portmap, ${family}`, plugins: chain(ranges), attachments: mapped(single), differs },
  { what: `portmap, ${family}, every kind of mapping`, plugins: chain(ranges), attachments: mapped(every), differs },
]);

function chain(ranges: readonly string[], portmap: JsonObject = {}): JsonObject[] {
  return [bridge(ranges, usual), { type: 'portmap', capabilities: { portMappings: true }, ...portmap }];
}

function mapped(portMappings: readonly unknown[]): [{ readonly runtimeConfig: JsonObject }] {
  return [{ runtimeConfig: { portMappings } }];
}

const byKey: Configuration[] = [
  { what: 'snat off', portmap: { snat: false } },
  { what: 'masqAll', portmap: { masqAll: true } },
  { what: 'masqAll without snat', portmap: { masqAll: true, snat: false } },
  { what: 'another mark', portmap: { markMasqBit: 20 } },
  { what: 'a chain of somebody else', portmap: { externalSetMarkChain: 'KUBE-MARK-MASQ' } },
  {
    what: 'conditions',
    portmap: { conditionsV4: ['!', '-d', '10.9.0.0/16'], conditionsV6: ['!', '-d', 'fd00:9::/64'] },
  },
  { what: 'backend iptables', portmap: { backend: 'iptables' } },
].map(({ what, portmap }: { what: string; portmap: JsonObject }) => ({
  what: `portmap, ${what}`,
  plugins: chain([subnets[4], subnets[6]], portmap),
  attachments: mapped(every),
  prepare: async ({ node }: World) => {
    for (const tool of ['iptables', 'ip6tables']) await node.run(tool, '-t', 'nat', '-N', 'KUBE-MARK-MASQ');
  },
  differs: 'snat' in portmap ? sixGateway : [...sixGateway, ...guard],
}));

const byMapping: Configuration[] = [
  { what: 'without mappings', mappings: [], differs: [] },
  { what: 'a protocol in capital letters', mappings: [mapping('TCP', 8080)] },
  { what: 'the same port for two protocols', mappings: [mapping('tcp', 53), mapping('udp', 53)] },
  { what: 'a hostIP of the other family', mappings: [mapping('tcp', 8080, addresses.node[6])], differs: needless },
  { what: 'a hostIP other than localhost', mappings: [mapping('tcp', 8080, addresses.node[4])], differs: needless },
  { what: 'the highest port', mappings: [{ hostPort: 65_535, containerPort: 65_535, protocol: 'tcp' }] },
].map(({ what, mappings, differs = guard }) => ({
  what: `portmap, ${what}`,
  plugins: chain([subnets[4]]),
  attachments: mapped(mappings),
  differs,
}));

const byVersion: Configuration[] = ['0.3.1', '0.4.0', '1.0.0'].map((version) => ({
  what: `portmap, version ${version}`,
  version,
  plugins: chain([subnets[4]]),
  attachments: mapped(single),
  differs: guard,
}));

const others: Configuration[] = [
  {
    what: 'portmap, two containers',
    plugins: chain([subnets[4]]),
    attachments: [...mapped(single), { pod: 2, runtimeConfig: { portMappings: bothProtocols(8081, 80) } }],
    differs: guard,
  },
  {
    what: 'portmap behind a plugin of somebody else',
    plugins: [{ type: 'portmap' }],
    prevResult: {
      cniVersion: '1.1.0',
      interfaces: [{ name: 'eth0', sandbox: '/run/netns/other', mtu: 1400, mac: '02:00:00:00:00:05' }],
      ips: [{ address: '10.88.0.5/16', gateway: '10.88.0.1', interface: 0 }, { address: 'fd00:88::5/64' }],
      dns: { nameservers: ['10.0.0.53'] },
    },
    attachments: mapped(single),
    differs: guard,
  },
  {
    what: 'portmap behind a plugin of somebody else, version 0.2.0',
    version: '0.2.0',
    plugins: [{ type: 'portmap' }],
    prevResult: { cniVersion: '0.2.0', ip4: { ip: '10.88.0.5/16', gateway: '10.88.0.1' } },
    attachments: mapped(single),
    differs: guard,
  },
];

const nftables: Configuration[] = [
  ...families.map(({ family, ranges, differs }) => ({ what: family, ranges, differs, keys: {} })),
  ...[
    { what: 'snat off', keys: { snat: false } },
    { what: 'masqAll', keys: { masqAll: true }, more: ['nftables-masqAll'] as const },
    {
      what: 'conditions',
      keys: { conditionsV4: ['ip', 'daddr', '!=', '10.9.0.0/16'], conditionsV6: ['ip6', 'daddr', '!=', 'fd00:9::/64'] },
      more: ['nftables-two-networks'] as const,
    },
  ].map(({ what, keys, more = [] }) => ({
    what,
    keys,
    ranges: [subnets[4], subnets[6]],
    differs: [...sixGateway, ...(what === 'snat off' ? [] : guard), ...more],
  })),
].map(({ what, ranges, differs, keys }) => ({
  what: `portmap, backend nftables, ${what}`,
  plugins: chain(ranges, { backend: 'nftables', ...keys }),
  attachments: mapped(every),
  differs,
}));

export const portmapConfigurations: readonly Configuration[] = [
  ...byFamily,
  ...byKey,
  ...byMapping,
  ...byVersion,
  ...others,
  ...nftables,
];
