/** What `ip -json` tells of links, addresses and routes: the keys that we read (iproute2's own names). */

import { run } from '../exec.ts';
import { type Cidr, parseIp } from '../net/ip.ts';
import { query } from './batch.ts';

export interface LinkInfo {
  readonly ifname: string;
  readonly ifindex: number;
  /** The far end of a veth pair: its index, and where it is in this namespace its name. */
  readonly link_index?: number;
  readonly link?: string;
  /** UP, LOWER_UP, PROMISC, NO-CARRIER, … */
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly operstate: string;
  readonly master?: string;
  /** MAC address, lower case. */
  readonly address?: string;
  readonly promiscuity?: number;
  readonly linkinfo?: {
    readonly info_kind?: string;
    readonly info_slave_kind?: string;
    readonly info_data?: { readonly vlan_filtering?: number };
    readonly info_slave_data?: { readonly hairpin?: boolean; readonly isolated?: boolean };
  };
  readonly addr_info?: readonly AddressInfo[];
}

export interface AddressInfo {
  readonly family: 'inet' | 'inet6';
  readonly local: string;
  readonly prefixlen: number;
  readonly scope: string;
  readonly tentative?: boolean;
  readonly dadfailed?: boolean;
}

export interface RouteInfo {
  /** `default` or a CIDR; a host route has no length. */
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  /** Absent for the main table. */
  readonly table?: string;
  readonly type?: string;
  /** `kernel` for one that came with an address. */
  readonly protocol?: string;
  /** In place of `gateway` and `dev`, where several routes to one place have become one (IPv6 does so by itself). */
  readonly nexthops?: readonly { readonly gateway?: string; readonly dev?: string }[];
}

/** The links called `names` with their addresses, in one `ip`; those that do not exist are left out. */
export function showLinks(names: readonly string[]): LinkInfo[] {
  return query<LinkInfo>(
    names.map((name) => ['addr', 'show', 'dev', name]),
    { details: true },
  ).flat();
}

export function showLink(name: string): LinkInfo | undefined {
  return showLinks([name])[0];
}

/** The ports of the bridge called `name`, without their addresses. */
export function showPorts(name: string): LinkInfo[] {
  const [found = []] = query<LinkInfo>([['link', 'show', 'master', name]], { details: true });
  // Old versions of ip print an empty object for each link that they filter out.
  return found.filter(({ master }) => master === name);
}

/** One VLAN of a bridge port, as bridge(8) tells. */
export interface PortVlan {
  readonly vlan: number;
  /** Of a range of equals. */
  readonly vlanEnd?: number;
  /** `PVID`, `Egress Untagged`. */
  readonly flags?: readonly string[];
}

/** VLANs by port. Throws ToolError. */
export function showPortVlans(): ReadonlyMap<string, readonly PortVlan[]> {
  const ports = JSON.parse(run('bridge', ['-json', 'vlan', 'show'])) as { ifname: string; vlans: PortVlan[] }[];
  return new Map(ports.map(({ ifname, vlans }) => [ifname, vlans]));
}

/** The addresses of a link that somebody gave it: link-local ones come by themselves. */
export function givenAddresses(link: LinkInfo | undefined): Cidr[] {
  return (link?.addr_info ?? []).flatMap(({ local, prefixlen, scope }) => {
    const ip = parseIp(local);
    return ip === undefined || scope === 'link' ? [] : [{ ip, prefix: prefixlen }];
  });
}
