/**
 * What an attachment looks like, without what is random, so that two of them, by different plugins in
 * different worlds, can be compared.
 */

import { savedNftables, savedRules } from './dump.ts';
import type { JsonObject } from './networks.ts';
import { leases } from './plugins.ts';
import type { Namespace, World } from './world.ts';

export interface Snapshot {
  readonly node: readonly string[];
  readonly pod: readonly string[];
  readonly rules: readonly string[];
  readonly leases: JsonObject;
}

interface Link {
  readonly ifname: string;
  readonly mtu: number;
  readonly txqlen?: number;
  readonly flags: readonly string[];
  readonly operstate: string;
  readonly master?: string;
  readonly address: string;
  readonly promiscuity: number;
  readonly linkinfo?: { readonly info_kind?: string; readonly info_slave_data?: { readonly hairpin?: boolean } };
  readonly addr_info?: readonly Address[];
}

interface Address {
  readonly local: string;
  readonly prefixlen: number;
  readonly scope: string;
  readonly broadcast?: string;
}

export async function snapshot(world: World, pod: Namespace, networkName = 'testnet'): Promise<Snapshot> {
  return {
    node: [...(await describeLinks(world.node, ['lo', 'up0'])), ...(await sysctls(world.node))],
    pod: [...(await describeLinks(pod, [])), ...(await describeRoutes(pod)), ...(await sysctls(pod))],
    rules: [...(await savedRules(world.node)), ...(await savedNftables(world.node))],
    leases: leases(world, networkName),
  };
}

async function describeLinks(namespace: Namespace, except: readonly string[]): Promise<string[]> {
  const links = (await namespace.ip<Link>('address')).filter(({ ifname }) => !except.includes(ifname));
  return links.flatMap((link) => {
    const { ifname, mtu, txqlen, flags, operstate, master, promiscuity, linkinfo, address } = link;
    const slave = { hairpin: linkinfo?.info_slave_data?.hairpin, kind: linkinfo?.info_kind };
    const described = {
      ifname,
      mtu,
      txqlen,
      flags: [...flags].sort(),
      operstate,
      master,
      promiscuity,
      ...slave,
      address,
    };
    const global = (link.addr_info ?? []).filter(({ scope }) => scope !== 'link');
    const addresses = global.map(({ local, prefixlen, scope, broadcast }) => [
      ifname,
      local,
      prefixlen,
      scope,
      broadcast,
    ]);
    return [described, ...addresses].map((item) => JSON.stringify(item));
  });
}

async function describeRoutes(namespace: Namespace): Promise<string[]> {
  const texts = await Promise.all(
    ['-4', '-6'].map((family) => namespace.run('ip', family, 'route', 'show', 'table', 'all')),
  );
  const lines = texts.flatMap((text) => text.split('\n').map((line) => line.trim()));
  return lines.filter((line) => line !== '' && !/^(multicast|anycast|local|broadcast) |^fe80|^ff00/.test(line)).sort();
}

/** Those that the plugins write, and which links have them. */
const SYSCTLS = [
  'ipv4/ip_forward',
  'ipv6/conf/all/forwarding',
  'ipv4/conf/*/route_localnet',
  'ipv4/conf/*/arp_notify',
  'ipv6/conf/*/accept_dad',
  'ipv6/conf/*/accept_ra',
  'ipv6/conf/*/keep_addr_on_down',
];

async function sysctls(namespace: Namespace): Promise<string[]> {
  const text = await namespace.run('bash', '-c', `cd /proc/sys/net && grep -H . ${SYSCTLS.join(' ')}`);
  return text.split('\n').filter((line) => line !== '');
}

const MAC = /\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b/g;
const VETH = /\bveth[0-9a-f]{8}\b/g;
const WORLD = /\bw\d+-\d+-/g;

/**
 * `value` with the names of pairs numbered, and MAC addresses and worlds made the same: the reference's bridge has its
 * first port's MAC address while it has no address, ours its own from the start.
 */
export function withoutRandom<T>(value: T): T {
  const seen = new Map<string, string>();
  const number = (name: string) => {
    if (!seen.has(name)) seen.set(name, `veth#${seen.size}`);
    return seen.get(name) ?? '';
  };
  const text = JSON.stringify(value).replace(WORLD, 'world-').replace(VETH, number);
  return JSON.parse(text.replace(MAC, (mac) => (/^(ff:ff|00:00|02:00)/.test(mac) ? mac : 'mac'))) as T;
}
