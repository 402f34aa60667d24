/** Wrong inputs beyond those of test/e2e/bad-input: keys of the reference, and verbs other than ADD. */

import { type BadCall, good, ipam, mapped, prevResult, type Scene } from '../e2e/bad-input/scene.ts';
import type { JsonObject } from '../support/networks.ts';

/** Which codes the two sides give it is said in ./differences.ts. */
export type Wrong = Omit<BadCall, 'code' | 'names'>;

function keys(what: string, over: JsonObject): Wrong {
  return { what, spoil: (scene) => ({ config: good(scene, over) }) };
}

const bridgeKeys: Wrong[] = [
  keys('hairpinMode with promiscMode', { hairpinMode: true, promiscMode: true }),
  keys('vlanTrunk with minID 0', { vlanTrunk: [{ minID: 0, maxID: 5 }] }),
  keys('vlanTrunk with maxID 5000', { vlanTrunk: [{ minID: 1, maxID: 5000 }] }),
  keys('vlanTrunk without maxID', { vlanTrunk: [{ minID: 9 }] }),
  keys('vlanTrunk without minID', { vlanTrunk: [{ maxID: 9 }] }),
  keys('vlanTrunk with id 4095', { vlanTrunk: [{ id: 4095 }] }),
  keys('an empty bridge name', { bridge: '' }),
  keys('a bridge name of 16 bytes', { bridge: 'a'.repeat(16) }),
  keys('a bridge name with a slash', { bridge: 'a/b' }),
  keys('an mtu that no link can have', { mtu: 20 }),
  keys('an mtu with a fraction', { mtu: 1400.5 }),
  keys('dns that is a text', { dns: '10.0.0.53' }),
  keys('nameservers that are no list', { dns: { nameservers: '10.0.0.53' } }),
  keys('a bad MAC by args', { args: { cni: { mac: 'zz' } } }),
  keys('a bad MAC by runtimeConfig', { runtimeConfig: { mac: '02:00:00' } }),
  keys('a multicast MAC', { runtimeConfig: { mac: '01:00:00:00:00:01' } }),
  keys('layer 2 in version 0.2.0', { cniVersion: '0.2.0', ipam: {} }),
  { what: 'a MAC by CNI_ARGS that host-local does not know', spoil: () => ({ args: 'MAC=02:00:00:00:00:07' }) },
  { what: 'CNI_ARGS with a semicolon at the end', spoil: () => ({ args: 'IgnoreUnknown=1;' }) },
  { what: 'CNI_ARGS with a bad IgnoreUnknown', spoil: () => ({ args: 'IgnoreUnknown=maybe' }) },
];

const ipamKeys: Wrong[] = (
  [
    ['two sets of a family in version 0.2.0', { ranges: [[{ subnet: '10.7.0.0/24' }], [{ subnet: '10.8.0.0/24' }]] }],
    ['an IPv4 subnet in IPv6 form', { ranges: [[{ subnet: '::ffff:10.7.0.0/120' }]] }],
    [
      'a rangeEnd before the rangeStart',
      { ranges: [[{ subnet: '10.7.0.0/24', rangeStart: '10.7.0.9', rangeEnd: '10.7.0.5' }]] },
    ],
    ['a rangeEnd outside', { ranges: [[{ subnet: '10.7.0.0/24', rangeEnd: '10.8.0.5' }]] }],
    ['a gateway that is a word', { ranges: [[{ subnet: '10.7.0.0/24', gateway: 'router' }]] }],
    ['a resolvConf that is missing', { resolvConf: '/run/none' }],
    ['a route whose gateway is a word', { routes: [{ dst: '10.9.0.0/16', gw: 'router' }] }],
    ['a route with host bits', { routes: [{ dst: '10.9.1.1/16' }] }],
    ['the same route twice', { routes: [{ dst: '10.9.0.0/16' }, { dst: '10.9.0.0/16' }] }],
    ['a route whose gateway nobody can reach', { routes: [{ dst: '10.9.0.0/16', gw: '172.31.0.1' }] }],
    ['isDefaultGateway beside a default route without a gateway', { routes: [{ dst: '0.0.0.0/0' }] }],
  ] as const
).map(([what, over]) => ({
  what,
  spoil: (scene) => ({ config: { ...ipam(scene, over), ...(what.includes('0.2.0') && { cniVersion: '0.2.0' }) } }),
}));

const portmapKeys: Wrong[] = (
  [
    ['markMasqBit 32', { markMasqBit: 32 }],
    ['markMasqBit -1', { markMasqBit: -1 }],
    ['markMasqBit with externalSetMarkChain', { markMasqBit: 5, externalSetMarkChain: 'KUBE-MARK-MASQ' }],
    ['externalSetMarkChain with backend nftables', { backend: 'nftables', externalSetMarkChain: 'KUBE-MARK-MASQ' }],
    [
      'conditions of nftables for backend iptables',
      { backend: 'iptables', conditionsV4: ['ip', 'daddr', '10.9.0.0/16'] },
    ],
    ['conditions of iptables for backend nftables', { backend: 'nftables', conditionsV4: ['-d', '10.9.0.0/16'] }],
    ['an externalSetMarkChain that is missing', { externalSetMarkChain: 'NONE' }],
    ['snat that is a text', { snat: 'yes' }],
    ['portMappings that are no list', { runtimeConfig: { portMappings: 8080 } }],
  ] as const
).map(([what, over]) => ({ what, plugin: 'portmap', spoil: (scene) => ({ config: mapped(scene, {}, over) }) }));

const plugins = ['bridge', 'host-local', 'portmap', 'loopback'] as const;
const verbs = ['DEL', 'CHECK', 'GC', 'STATUS'] as const;

const otherVerbs: Wrong[] = verbs.flatMap((command) =>
  plugins.flatMap((plugin): Wrong[] =>
    (
      [
        ['no stdin', { config: '' }],
        ['stdin that is not JSON', { config: '{' }],
        ['no network name', { name: undefined }],
        ['a bad network name', { name: 'a/b' }],
        ['an unknown cniVersion', { cniVersion: '9.9.9' }],
      ] as const
    ).map(([what, over]) => ({
      what: `${plugin} ${command} with ${what}`,
      plugin,
      spoil: (scene: Scene) => ({ command, config: 'config' in over ? over.config : good(scene, over) }),
    })),
  ),
);

const others: Wrong[] = [
  ...['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'].flatMap((name) =>
    ['DEL', 'CHECK'].map((command) => ({
      what: `${command} without ${name}`,
      spoil: () => ({ command, env: { [name]: undefined } }),
    })),
  ),
  { what: 'CHECK without CNI_NETNS', spoil: () => ({ command: 'CHECK', env: { CNI_NETNS: undefined } }) },
  { what: 'GC without CNI_PATH', spoil: () => ({ command: 'GC', env: { CNI_PATH: undefined } }) },
  { what: 'STATUS without CNI_PATH', spoil: () => ({ command: 'STATUS', env: { CNI_PATH: undefined } }) },
  { what: 'DEL with a bad container ID', spoil: () => ({ command: 'DEL', containerId: 'a/b' }) },
  { what: 'DEL with a bad interface name', spoil: () => ({ command: 'DEL', ifname: 'a/b' }) },
  { what: 'DEL with a namespace that is a file', spoil: () => ({ command: 'DEL', netns: '/etc/passwd' }) },
  { what: 'DEL with CNI_ARGS that are no pairs', spoil: () => ({ command: 'DEL', args: 'MAC' }) },
  { what: 'DEL without ranges', spoil: (s) => ({ command: 'DEL', config: ipam(s, { ranges: [] }) }) },
  {
    what: 'CHECK of an attachment that is none',
    spoil: (s) => ({ command: 'CHECK', config: good(s, { prevResult }) }),
  },
  {
    what: 'CHECK by host-local of a lease that is none',
    plugin: 'host-local',
    spoil: (s) => ({ command: 'CHECK', config: good(s, { prevResult }) }),
  },
  {
    what: 'CHECK by portmap of ports that are none',
    plugin: 'portmap',
    spoil: (s) => ({ command: 'CHECK', config: mapped(s, {}) }),
  },
  {
    what: 'CHECK by loopback of an lo that is down',
    plugin: 'loopback',
    prepare: ({ pod }) => pod.run('ip', 'link', 'set', 'lo', 'down'),
    spoil: (s) => ({ command: 'CHECK', config: good(s, { prevResult }) }),
  },
  {
    what: 'CHECK in version 0.3.1',
    spoil: (s) => ({ command: 'CHECK', config: good(s, { cniVersion: '0.3.1', prevResult }) }),
  },
  { what: 'GC in version 1.0.0', spoil: (s) => ({ command: 'GC', config: good(s, { cniVersion: '1.0.0' }) }) },
  { what: 'STATUS in version 1.0.0', spoil: (s) => ({ command: 'STATUS', config: good(s, { cniVersion: '1.0.0' }) }) },
  {
    what: 'STATUS with an IPAM plugin that is missing',
    spoil: (s) => ({ command: 'STATUS', config: good(s, { ipam: { type: 'nowhere' } }) }),
  },
];

export const moreWrongInputs: readonly Wrong[] = [...bridgeKeys, ...ipamKeys, ...portmapKeys, ...otherVerbs, ...others];
