/** The networks of conflist/ and what each lets through, as data: README.md there has it as a table, the tests measure it. */

import { readFileSync } from 'node:fs';
import type { Conflist, JsonObject } from './networks.ts';
import { type ChainOptions, repository } from './plugins.ts';
import type { Reach } from './reach.ts';

export interface ShippedNetwork {
  /** Without `.conflist`. */
  readonly file: string;
  readonly reach: Reach;
  /** What is other where bridged packets do not pass iptables. */
  readonly withoutBridgeNetfilter?: Partial<Reach>;
  /** Whether a neighbour of the node reaches a guest that it has a route to, through the node. */
  readonly opensToRoutes: boolean;
  /** The range that gives guests an IPv6 address beside the one that the file gives them. */
  readonly ipv6?: JsonObject;
  /** What the runtime asks for, by guest. */
  readonly asked?: readonly [Asked, Asked];
}

export type Asked = Pick<ChainOptions, 'ips' | 'args'>;

const NOTHING: Reach = {
  'guest → guest': 'no',
  'guest → node': 'no',
  'guest → its gateway': 'no',
  'node → guest': 'no',
  'guest → LAN': 'no',
  'guest → world': 'no',
  'LAN → guest': 'no',
  'world → guest': 'no',
  'LAN → published port': 'no',
  'node → published port': 'no',
  "guest → another's published port": 'no',
  'guest → its own published port': 'no',
};

const NAT_NETWORK: Reach = {
  ...NOTHING,
  'guest → guest': 'yes',
  'guest → node': 'yes',
  'guest → its gateway': 'yes',
  'node → guest': 'yes',
  'guest → LAN': 'as node',
  'guest → world': 'as node',
  'LAN → published port': 'yes',
  'node → published port': 'yes',
  "guest → another's published port": 'as node',
  'guest → its own published port': 'as node',
};

export const SHIPPED: readonly ShippedNetwork[] = [
  { file: '10-bridge', reach: NAT_NETWORK, opensToRoutes: true },
  {
    file: '11-nat',
    // Where bridged packets pass iptables, those to a published port get the guest's address while still in the bridge.
    reach: {
      ...NAT_NETWORK,
      'guest → guest': 'no',
      "guest → another's published port": 'no',
      'guest → its own published port': 'no',
    },
    withoutBridgeNetfilter: {
      "guest → another's published port": 'as node',
      'guest → its own published port': 'as node',
    },
    opensToRoutes: true,
    ipv6: { subnet: 'fd64:2b9e:6f10::/64' },
  },
  { file: '12-nat-network', reach: NAT_NETWORK, opensToRoutes: true, ipv6: { subnet: 'fd65:2b9e:6f10::/64' } },
  {
    file: '13-bridged',
    reach: {
      ...NOTHING,
      'guest → guest': 'yes',
      'guest → node': 'yes',
      'guest → its gateway': 'yes',
      'node → guest': 'yes',
      'guest → LAN': 'yes',
      'guest → world': 'yes',
      'LAN → guest': 'yes',
      'world → guest': 'yes',
    },
    opensToRoutes: false,
    ipv6: {
      subnet: '2001:db8:ffff::/64',
      rangeStart: '2001:db8:ffff::100',
      rangeEnd: '2001:db8:ffff::1ff',
      gateway: '2001:db8:ffff::fe',
    },
  },
  {
    file: '14-internal',
    reach: { ...NOTHING, 'guest → guest': 'yes' },
    opensToRoutes: false,
    ipv6: { subnet: 'fd66:2b9e:6f10::/64' },
  },
  {
    file: '15-host-only',
    reach: { ...NOTHING, 'guest → guest': 'yes', 'guest → its gateway': 'yes', 'node → guest': 'yes' },
    opensToRoutes: false,
    ipv6: { subnet: 'fd67:2b9e:6f10::/64' },
  },
  { file: '20-dual-stack', reach: NAT_NETWORK, opensToRoutes: true },
  { file: '21-ipv6-only', reach: NAT_NETWORK, opensToRoutes: true },
  {
    file: '22-two-ranges',
    reach: {
      ...NOTHING,
      'guest → guest': 'yes',
      'guest → node': 'yes',
      'guest → its gateway': 'yes',
      'node → guest': 'yes',
      'guest → LAN': 'as node',
    },
    opensToRoutes: true,
    asked: [{}, { ips: ['10.69.0.150'] }],
  },
  {
    file: '23-static-address',
    reach: NAT_NETWORK,
    opensToRoutes: true,
    asked: [{ ips: ['10.70.0.10'] }, { args: 'IP=10.70.0.11;IgnoreUnknown=1' }],
  },
  { file: '30-fast', reach: NAT_NETWORK, opensToRoutes: true },
];

export function readShipped(file: string): Conflist {
  return JSON.parse(readFileSync(`${repository}/conflist/${file}.conflist`, 'utf8')) as Conflist;
}

interface IpamPlugin extends JsonObject {
  readonly ipam: { readonly ranges: readonly unknown[]; readonly routes?: readonly { readonly dst: string }[] };
}

/** The network with a second range set, and with a second default route where there is one: what the README says to add. */
export function withIpv6(conflist: Conflist, range: JsonObject): Conflist {
  const [bridge, ...others] = conflist.plugins as readonly [IpamPlugin, ...JsonObject[]];
  const { ranges, routes = [] } = bridge.ipam;
  const more = routes.some(({ dst }) => dst === '0.0.0.0/0') ? [{ dst: '::/0' }] : [];
  const ipam = { ...bridge.ipam, ranges: [...ranges, [range]], routes: [...routes, ...more] };
  return { ...conflist, plugins: [{ ...bridge, ipam }, ...others] };
}

/** The commands of the chapter's block of shell in conflist/README.md. */
export function readmeCommands(chapter: string): string {
  const readme = readFileSync(`${repository}/conflist/README.md`, 'utf8');
  const text = readme.split(/^## /m).find((part) => part.startsWith(chapter));
  const commands = text?.match(/^```sh\n(.*?)^```$/ms)?.[1];
  if (commands === undefined) throw new Error(`conflist/README.md has no commands in a chapter "${chapter}"`);
  return commands;
}
