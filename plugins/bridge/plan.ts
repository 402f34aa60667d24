/**
 * What an ADD does to the kernel, as plain data: the batch for the host, the batch and settings for the container, the
 * result. All decisions live here; ./bridge.ts only sends them. Which state each mirrors: compatibility with the
 * reference bridge plugin, README.md beside this file.
 */
import type { Result, Route } from '../../lib/cni/result.ts';
import type { IpCommand } from '../../lib/iproute2/batch.ts';
import { formatCidr } from '../../lib/net/ip.ts';
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

/** One file below /proc/sys and what goes in. */
export interface Sysctl {
  readonly name: string;
  readonly value: string;
  /** False when a host may lack it or refuse it without harm. */
  readonly required: boolean;
}

/**
 * Makes the pair with its far end already inside the container, under its name; joins the near end to the bridge. Both
 * MAC addresses are explicit, so udev leaves them alone and nothing needs to be read back.
 */
export function planHostBatch({ config, ifname, pair, addressing }: Attachment, netnsPath: string): IpCommand[] {
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
  if (config.hairpinMode) commands.push(['link', 'set', 'dev', pair.hostName, 'type', 'bridge_slave', 'hairpin', 'on']);
  // Who had an address before is remembered by the host, which takes no announcement of a new MAC address for a second.
  const stale = addressing.addresses.map(({ cidr }) => ['neigh', 'flush', 'to', cidr.ip.text, 'dev', config.bridge]);
  return [...commands, ...stale];
}

/** Router advertisements are for hosts, not for a bridge port. */
export function planHostSysctls({ pair }: Attachment): Sysctl[] {
  return [{ name: `net/ipv6/conf/${pair.hostName}/accept_ra`, value: '0', required: false }];
}

/** Settings inside the container that have to be right before its link comes up. */
export function planContainerSysctls({ ifname, addressing }: Attachment): Sysctl[] {
  // Layer 2 only: what the link does with addresses is for whoever gives it some.
  if (addressing.addresses.length === 0) return [];
  const hasIpv6 = addressing.addresses.some(({ cidr }) => cidr.ip.family === 6);
  const always: Sysctl[] = [
    // No duplicate address detection: IPAM hands out each address once, and a tentative one loses the first packets.
    { name: `net/ipv6/conf/${ifname}/accept_dad`, value: '0', required: false },
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
export function planContainerBatch({ ifname, addressing }: Attachment): IpCommand[] {
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

/** Interfaces: the bridge, the host's end, the container's end; every address is on the third. */
export function planResult({ config, ifname, netns, pair, addressing }: Attachment, bridgeMac: string): Result {
  return {
    interfaces: [
      { name: config.bridge, mac: bridgeMac },
      { name: pair.hostName, mac: pair.hostMac },
      { name: ifname, mac: pair.containerMac, sandbox: netns },
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
