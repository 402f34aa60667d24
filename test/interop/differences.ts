/**
 * Every way in which we differ from the reference plugins (v1.9.1) on purpose. README's table is written from here by
 * `make readme`; the comparisons beside this file allow these, and fail when one of them is never seen.
 */

import { type Difference, replaced, without, withoutRaw } from './difference.ts';

const PLUGINS = ['bridge', 'host-local', 'portmap', 'loopback'];
const OLD_VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0'];

const table = {
  'failed-add': {
    where: 'a failed ADD',
    reference: 'leaves veth, masquerade rules, sometimes the lease',
    nodecni: 'undoes exactly what this call did, in reverse; also on SIGTERM',
  },
  'keys-in-vain': {
    where: 'keys that do nothing together, ports that no route of the host leads to',
    reference: 'silence',
    nodecni: 'a sentence on stderr that says what is asked for in vain',
  },
  'small-mtu': {
    where: '`mtu` under 1280 with an IPv6 address',
    reference: 'fails on a missing sysctl',
    nodecni: 'refused with code 7, naming both numbers',
  },
  'other-mtu': {
    where: "another `mtu` than the bridge's",
    reference: 'silence',
    nodecni: 'an idle bridge follows; else a warning with both numbers',
  },
  'second-add': {
    where: 'a second ADD of a living attachment',
    reference: "may free or change the first one's address",
    nodecni: 'refused before anything is touched',
  },
  'second-add-of-the-dead': {
    where: 'a second ADD of a dead one (reboot, crash)',
    reference: 'refused until somebody deletes the lease',
    nodecni: 'the same address again',
  },
  'full-range': {
    where: 'a full range of addresses that nobody uses (reboot, crash, lost DEL)',
    reference: 'every ADD fails until somebody deletes files',
    nodecni: 'the dead are freed, shown dead one by one and logged; see [Leases](#leases)',
  },
  'address-again': {
    where: 'an address given again',
    reference: "the dead pod's hostPorts, masquerade and connections lead to the new one",
    nodecni: 'they are removed before',
  },
  gc: {
    where: 'GC',
    reference: 'touches nothing',
    nodecni:
      'frees leases, records, links and rules that the runtime does not list; not during their ADD, and not without a list',
    answers: PLUGINS.map((plugin) => ({ plugin, verb: 'GC', versions: ['1.1.0'], ours: 7, theirs: undefined })),
  },
  status: {
    where: 'STATUS',
    reference: 'only `bridge` looks, at whether its IPAM plugin is there',
    nodecni: 'tools, folders, delegates; a full range is a warning with numbers (or code 50, on demand)',
  },
  'many-leases': {
    where: '20,000 leases',
    reference: 'every ADD and DEL reads all of them',
    nodecni: 'read only after somebody else changed the folder',
  },
  'del-without': {
    where: 'DEL without namespace, link or `prevResult`',
    reference: 'masquerade and hostPort rules leak; a stale file at the path fails for ever',
    nodecni: 'every step is tried, missing things are success, all that is left is reported',
    inputs: ['DEL with a namespace that is a file', 'DEL with CNI_ARGS that are no pairs'],
  },
  stricter: {
    where: 'values that cannot be meant',
    reference: 'taken, and fail later or never',
    nodecni:
      'refused: a negative `mtu`, a `hostIP` that is no address, a gateway of the other family, an endless container ID',
    inputs: [
      '"mtu": -1',
      'port mapping with {"hostIP":"here"}',
      'a gateway of the wrong family (host-local)',
      'container ID "xxxxxxxxxxxxxxxxxxx',
    ],
  },
  'del-order': {
    where: 'DEL',
    reference: 'address first released, then the rest; rules may outlive it',
    nodecni: 'link, then rules, then lease; the lease stays when the link does',
  },
  'own-namespace': {
    where: "the host's own namespace as CNI_NETNS",
    reference: 'refused after the work is done, with two JSON documents on stdout',
    nodecni: 'ADD is refused before; DEL frees what is left and touches no link of the host',
    codes: [[0, 8]],
  },
  errors: {
    where: 'errors',
    reference: 'code 999 for almost all (0 when a delegate crashed), no `cniVersion`',
    nodecni: "the specification's codes and those below, `cniVersion`, `details` with the fix",
    codes: [[7, 6], [0, 104], ...[4, 5, 7, 8, 50, 100, 101, 102, 103, 104].map((ours) => [999, ours] as const)],
  },
  'atomic-rules': {
    where: 'rules',
    reference: '12 to 21 iptables processes per call, not atomic',
    nodecni: 'one `iptables-restore` per family and verb, or one `nft -f -` for both; all or nothing',
  },
  'bridge-mac': {
    where: '`bridge` MAC addresses',
    reference: "the kernel's, may change with ports and udev",
    nodecni: 'explicit at creation, stable',
    // Without an address it has the one of its first port.
    even: replaced(/mac#\d+/g, 'mac'),
  },
  'accept-ra': {
    where: 'a bridge that somebody else made',
    reference: 'stops taking router advertisements: the host may lose its own IPv6 router',
    nodecni: 'keeps its settings',
    even: without(/ipv6\/conf\/cni0\/accept_ra:/),
  },
  'idle-bridge': {
    where: 'a bridge with an address of another network and without a living port',
    reference: 'IPv4: every ADD fails until somebody takes it away; IPv6: it stays',
    nodecni: 'the new address takes its place, with a warning',
    even: without(/fd00:99:/),
  },
  'ipv6-gateway': {
    where: 'IPv6 gateway on the bridge',
    reference: 'tentative for 1–2 s after ADD, first packets are lost',
    nodecni: 'usable when ADD returns (`nodad`)',
    even: (lines, section) =>
      section === 'node links' ? lines.map((line) => line.replace('"nodad":true,', '')) : lines,
  },
  'ndisc-notify': {
    where: 'IPv6 of the container',
    reference: '',
    nodecni: 'neighbours learn the new MAC at once (`ndisc_notify`)',
    even: without(/ndisc_notify:[01]$/),
  },
  'route-mtu': {
    where: '`ipam.routes` with `mtu`, `advmss`',
    reference: 'ignored',
    nodecni: 'set',
    even: replaced(/,"metrics":\[.*?\]/, ''),
  },
  'two-default-routes': {
    where: '`isDefaultGateway` beside a default route without gateway',
    reference: '"file exists"',
    nodecni: 'one route',
    inputs: ['isDefaultGateway beside a default route without a gateway'],
  },
  'second-subnet': {
    where: 'two addresses of one family with `ipMasq`',
    reference: 'traffic inside the second subnet is masqueraded; DEL fails once',
    nodecni: 'both subnets are spared',
    failedDel: true,
    // The order of the rules is what counts.
    even: (lines, section) => (/ (iptables|nftables)$/.test(section) ? lines.toSorted() : lines),
  },
  'two-interfaces': {
    where: 'two interfaces of one container on one network',
    reference: "DEL of one breaks the other's masquerade and ports",
    nodecni: 'own rules only; the shared chain goes with its last rule',
  },
  'ipam-hangs': {
    where: 'an IPAM plugin that hangs',
    reference: 'ADD hangs with it',
    nodecni: 'it is ended after `ipamTimeoutSeconds`, and its DEL called',
  },
  'check-of-layer-2': {
    where: 'CHECK of a layer 2 bridge',
    reference: 'always fails',
    nodecni: 'works',
    failedCheck: true,
  },
  'check-of-other-tables': {
    where: 'CHECK of routes in other tables',
    reference: 'always fails',
    nodecni: 'looks in that table',
    failedCheck: true,
  },
  check: {
    where: 'CHECK',
    reference: 'does not see masquerade, hairpin, forwarding, gateway address, shared hostPort chains',
    nodecni: "sees them, ignores the host veth's MAC address",
  },
  'host-local': {
    where: '`host-local`',
    reference: 'lock per range; reads configuration ranges also for DEL; empty lease files block addresses',
    nodecni:
      'one lock for the whole ADD (30 s, the error names the holder); DEL needs no ranges; leases appear whole, empty ones are reclaimed',
    inputs: ['DEL without ranges'],
  },
  'portmap-del': {
    where: '`portmap` DEL without `runtimeConfig`',
    reference: 'leaves the rules',
    nodecni: 'finds what ADD made by its own record in `/var/lib/cni/nodecni/portmap`',
  },
  'portmap-readd': {
    where: '`portmap` re-ADD with another address',
    reference: 'the stale DNAT stays first',
    nodecni: 'replaced',
  },
  'portmap-udp': {
    where: '`portmap` UDP',
    reference: 'conntrack entries flushed on ADD only, by port alone',
    nodecni: "on ADD and DEL, by port, hostIP and, on DEL, the container's address",
  },
  'flannel-damage': {
    where: '`flannel` state that is empty or torn (power cut), or gone',
    reference: 'DEL succeeds and leaves link, rules and address',
    nodecni: 'made anew from the list, `subnet.env` and `prevResult`; else by what is recorded of the container',
  },
  'flannel-state': {
    where: '`flannel` state',
    reference: 'left by a failed ADD, gone after a failed DEL, one for all interfaces',
    nodecni: 'gone with what it speaks of, one for each interface, written whole',
  },
  'flannel-verbs': {
    where: '`flannel` CHECK, GC, STATUS',
    reference: 'succeed without a look',
    nodecni: "the delegate's; STATUS fails until `subnet.env` is complete",
  },
  'flannel-not-ready': {
    where: '`subnet.env` missing or half-written',
    reference: 'code 999, or a crash',
    nodecni: 'code 11, with who writes it and how to look; `subnetFileWaitMs` waits for it',
  },
  'loopback-results': {
    where: '`loopback` results of 0.1.0 to 0.4.0',
    reference: 'mislabelled, without `version`',
    nodecni: "of the version's own shape",
    even: (lines, section) => (section.startsWith('loopback') ? [] : lines),
    answers: [{ plugin: 'loopback', verb: 'ADD', versions: OLD_VERSIONS, ours: undefined, theirs: undefined }],
  },
  records: {
    where: 'files beside the leases',
    reference: 'none',
    nodecni: 'a record per attachment in `<dataDir>/.nodecni`; see [Leases](#leases)',
  },
  'hostPort-ownership': {
    where: 'a hostPort that a living container holds',
    reference: 'both have rules, the first ones get the traffic',
    nodecni: 'refused (code 107), naming container, network and since when; one of a dead container changes hands',
  },
  'route-localnet': {
    where: '`route_localnet` for 127.0.0.1',
    reference: 'lets neighbours on that network reach what listens on 127.0.0.1 only',
    nodecni: 'what comes from or for 127.0.0.0/8 from outside is dropped; guard and setting go with their last user',
    even: (lines) => withoutRaw(lines.filter((line) => !/^table ip (raw|cni_localnet_guard) /.test(line))),
  },
  'route-localnet-needless': {
    where: '`route_localnet` where no port is forwarded at 127.0.0.1 (`hostIP`)',
    reference: 'set',
    nodecni: 'not set',
    even: without(/route_localnet:[01]$/),
  },
  'hostPort-networks': {
    where: 'one port list for all networks of a container (podman)',
    reference: 'rules for each network; the first ones count',
    nodecni: 'forwarded by the first network; the others say so',
  },
  'backend-changed': {
    where: 'the firewall backend',
    reference: 'chosen anew for DEL and CHECK: rules of the other one leak',
    nodecni: 'recorded with the attachment; DEL, CHECK and GC go by that',
  },
  'nftables-two-networks': {
    where: '`portmap` by nftables, a container on two networks',
    reference: 'DEL on one takes away the ports of both; the conditions of the last ADD are those of all',
    nodecni: 'own rules, own conditions',
    // Its conditions stand in the chains that all share, ours before each rule.
    even: replaced(/(ip daddr != 10\.9\.0\.0\/16|ip6 daddr != fd00:9::\/64) /, ''),
  },
  'nftables-masqAll': {
    where: '`portmap` by nftables, `masqAll`',
    reference: 'does nothing',
    nodecni: 'works; CHECK says of what the reference made that it does not',
    failedCheckOfTheirs: true,
    even: without(/ct status dnat/),
  },
  'ipMasq-families': {
    where: '`ipMasq`',
    reference: '`true` or `false`',
    nodecni: 'also `"v4"` or `"v6"` alone',
  },
  'no-vlan-filtering': {
    where: 'VLAN keys on a kernel without VLAN filtering',
    reference: 'fails half-way on a bridge that is there, and leaves the port',
    nodecni: 'refused, and nothing is left',
  },
  macspoofchk: {
    where: '`macspoofchk`',
    reference: 'chains outlive a DEL without namespace; rules pile up',
    nodecni: 'one transaction; gone with every DEL',
  },
  'node-warnings': {
    where: 'a node that cannot carry the traffic (forwarding off, FORWARD DROP, overlapping subnets, …)',
    reference: 'silence',
    nodecni: 'a warning with the fix, once in a boot',
    inputs: ['{"overlap":"ignore"}'],
  },
} as const satisfies Readonly<Record<string, Difference>>;

export type DifferenceName = keyof typeof table;

export const differences: Readonly<Record<DifferenceName, Difference>> = table;
