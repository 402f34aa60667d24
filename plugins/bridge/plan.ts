/**
 * What an ADD does to the kernel, as plain data: the batch for the host, the batch and settings for the container, the
 * result. All decisions live here; ./bridge.ts only sends them. Which state each mirrors: compatibility with the
 * reference bridge plugin, README.md beside this file.
 */
import type { Result, Route } from '../../lib/cni/result.ts';
import type { IpCommand } from '../../lib/iproute2/batch.ts';
import { type Cidr, formatCidr } from '../../lib/net/ip.ts';
import { type Addressing, nextHop } from './addressing.ts';
import type { BridgeConfig } from './schema.ts';

/** The veth pair of an attachment. */
export interface Pair {
  readonly hostName: string;
  readonly hostMac: string;
  readonly containerMac: string;
}

export interface Attachment {
  readonly config: BridgeConfig;
  readonly ifname: string;
  /** Path of the container's namespace as the runtime named it. */
  readonly netns: string;
  readonly pair: Pair;
  readonly addressing: Addressing;
}

/** What an attachment shares with others: the bridge, and with a VLAN its gateway. */
export interface Made {
  readonly mac: string;
  readonly gateway: { readonly name: string; readonly mac: string } | undefined;
}

/** One file below /proc/sys and what goes in. */
export interface Sysctl {
  readonly name: string;
  readonly value: string;
  /** False when a host may lack it or refuse it without harm. */
  readonly required: boolean;
}

/**
 * Makes the pair with its far end already inside the container, under its name; joins the near end to the bridge. Both
 * MAC addresses are explicit, so udev leaves them alone and nothing needs to be read back. `holder` is the link with the
 * gateway addresses, where that is not the bridge.
 */
export function planHostBatch(attachment: Attachment, netnsPath: string, holder?: string): IpCommand[] {
  const { config, ifname, pair, addressing } = attachment;
  const mtu = config.mtu === undefined ? [] : ['mtu', String(config.mtu)];
  const near = [
    'name',
    pair.hostName,
    'address',
    pair.hostMac,
    ...mtu,
    'txqueuelen',
    '0',
    'master',
    config.bridge,
    'up',
  ];
  const far = ['name', ifname, 'address', pair.containerMac, ...mtu, 'netns', netnsPath];
  const commands: IpCommand[] = [['link', 'add', ...near, 'type', 'veth', 'peer', ...far]];
  const flags = [...(config.hairpinMode ? ['hairpin', 'on'] : []), ...(config.portIsolation ? ['isolated', 'on'] : [])];
  if (flags.length > 0) commands.push(['link', 'set', 'dev', pair.hostName, 'type', 'bridge_slave', ...flags]);
  // The host takes no announcement of a new MAC address for a second.
  const cidrs = addressing.addresses.map(({ cidr }) => cidr);
  return [...commands, ...planForgetting(cidrs, holder ?? config.bridge)];
}

/** Who had an address before is remembered by the host, on `holder`, the link that has the gateway addresses. */
export function planForgetting(cidrs: readonly Cidr[], holder: string): IpCommand[] {
  return cidrs.map(({ ip }) => ['neigh', 'flush', 'to', ip.text, 'dev', holder]);
}

/** Router advertisements are for hosts, not for a bridge port. */
export function planHostSysctls({ pair }: Attachment): Sysctl[] {
  return [{ name: `net/ipv6/conf/${pair.hostName}/accept_ra`, value: '0', required: false }];
}

/** Off: IPAM hands out each address once, and a tentative one loses the first packets. */
function planDad({ config, ifname }: Attachment): Sysctl[] {
  const names = config.enableDad ? ['enhanced_dad', 'accept_dad'] : ['accept_dad'];
  const value = config.enableDad ? '1' : '0';
  return names.map((name) => ({ name: `net/ipv6/conf/${ifname}/${name}`, value, required: false }));
}

/** Settings inside the container that have to be right before its link comes up. */
export function planContainerSysctls(attachment: Attachment): Sysctl[] {
  const { ifname, addressing } = attachment;
  // Layer 2 only: what the link does with addresses is for whoever gives it some.
  if (addressing.addresses.length === 0) return [];
  const hasIpv6 = addressing.addresses.some(({ cidr }) => cidr.ip.family === 6);
  const always: Sysctl[] = [
    ...planDad(attachment),
    { name: `net/ipv4/conf/${ifname}/arp_notify`, value: '1', required: false },
  ];
  if (!hasIpv6) return always;
  return [
    { name: 'net/ipv6/conf/lo/disable_ipv6', value: '0', required: false },
    { name: `net/ipv6/conf/${ifname}/disable_ipv6`, value: '0', required: true },
    { name: `net/ipv6/conf/${ifname}/keep_addr_on_down`, value: '1', required: true },
    // The neighbour advertisement that arp_notify is for IPv4: who knew this address under another MAC learns the new one.
    { name: `net/ipv6/conf/${ifname}/ndisc_notify`, value: '1', required: false },
    ...always,
  ];
}

/** Addresses, then the link, then routes, in the reference's order: a route needs its link up. */
export function planContainerBatch({ config, ifname, addressing }: Attachment): IpCommand[] {
  if (config.staysDown) return [];
  const { addresses, routes } = addressing;
  return [
    ...addresses.map(({ cidr }) => ['addr', 'add', formatCidr(cidr), ...broadcast(cidr), 'dev', ifname]),
    ['link', 'set', 'dev', ifname, 'up'],
    ...routes.map((route) => planRoute(route, nextHop(route, addresses), ifname)),
  ];
}

/** The kernel's customary broadcast address; /31 and /32 have none. */
export function broadcast(cidr: { readonly ip: { readonly family: 4 | 6 }; readonly prefix: number }): string[] {
  return cidr.ip.family === 4 && cidr.prefix < 31 ? ['broadcast', '+'] : [];
}

/**
 * `prepend` is the request without exclusive or append flag that the reference sends: a second route to the same
 * destination by another gateway is accepted, an identical one is not.
 */
function planRoute(route: Route, gateway: string | undefined, ifname: string): string[] {
  const isIpv4 = !route.dst.includes(':');
  const option = (name: string, value: number | undefined) => (value === undefined ? [] : [name, String(value)]);
  return [
    'route',
    'prepend',
    route.dst,
    ...(gateway === undefined ? [] : ['via', gateway]),
    'dev',
    ifname,
    ...option('metric', route.priority || undefined),
    ...option('table', route.table),
    ...(isIpv4 ? ['scope', String(route.scope ?? 0)] : []),
    ...option('mtu', route.mtu || undefined),
    ...option('advmss', route.advmss || undefined),
  ];
}

/** Interfaces: the bridge, the host's end, the container's end, a VLAN's gateway; every address is on the third. */
export function planResult(attachment: Attachment, { mac, gateway }: Made): Result {
  const { config, ifname, netns, pair, addressing } = attachment;
  return {
    interfaces: [
      { name: config.bridge, mac },
      { name: pair.hostName, mac: pair.hostMac },
      { name: ifname, mac: pair.containerMac, sandbox: netns },
      ...(gateway === undefined ? [] : [{ name: gateway.name, mac: gateway.mac }]),
    ],
    ips: addressing.addresses.map(({ cidr, gateway }) => ({
      address: formatCidr(cidr),
      ...(gateway === undefined ? {} : { gateway: gateway.text }),
      interface: 2,
    })),
    routes: addressing.routes,
    dns: addressing.dns,
  };
}
