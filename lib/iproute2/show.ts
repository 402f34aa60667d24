/** What `ip -json` tells of links, addresses and routes: the keys that we read (iproute2's own names). */
import { query } from './batch.ts';

export interface LinkInfo {
  readonly ifname: string;
  readonly ifindex: number;
  /** The far end of a veth pair. */
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
