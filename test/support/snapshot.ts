/**
 * All that a node and its pods are made of for a plugin, without what is random or the kernel's own doing, so that two of
 * them, by different plugins in different worlds, can be compared.
 */

import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import type { Namespace, World } from './world.ts';

/** Section (`node links`, `pod1 routes`, `leases`, …) → lines, in the order in which the kernel tells them. */
export type Snapshot = Readonly<Record<string, readonly string[]>>;

export async function snapshot(world: World): Promise<Snapshot> {
  const namespaces = [world.node, ...world.pods];
  const sections = await Promise.all(namespaces.map((namespace) => sectionsOf(world, namespace)));
  return { ...Object.fromEntries(sections.flat()), leases: [...files(world.dataDir, '')] };
}

const COMMANDS = {
  links: 'ip -json -details address',
  ipv4: 'ip -json -details -4 route show table all',
  ipv6: 'ip -json -details -6 route show table all',
  neighbours: 'ip -json neighbour',
  ports: 'bridge -json -details link',
  vlans: 'bridge -json vlan show',
  iptables: 'iptables-save; ip6tables-save',
  nftables: 'nft list ruleset 2>/dev/null',
  // In the order of the links, whose names may be random. Some of the files cannot be read.
  sysctls: `cd /proc/sys/net && set -- ipv4/ip_forward
    for link in all default $(ip -brief link | sed 's/[@ ].*//'); do set -- "$@" ipv4/conf/$link/* ipv6/conf/$link/*; done
    grep -s . "$@"; true`,
} as const;

type Section = keyof typeof COMMANDS;

async function sectionsOf(world: World, namespace: Namespace): Promise<[string, string[]][]> {
  const label = namespace.name.replace(`${world.id}-`, '');
  const texts = Object.entries(await namespace.runEach(COMMANDS)) as [Section, string][];
  return texts.map(([section, text]) => [`${label} ${section}`, describe[section](text)]);
}

const describe: Readonly<Record<Section, (text: string) => string[]>> = {
  links: (text) => objects<Link>(text).flatMap(describeLink),
  ipv4: (text) => objects(text).map((route) => JSON.stringify(route)),
  ipv6: (text) =>
    objects<Route>(text)
      .filter(isMade)
      .map((route) => JSON.stringify(route)),
  neighbours: (text) =>
    objects<Neighbour>(text)
      .filter(isTold)
      .map((neighbour) => JSON.stringify(neighbour)),
  // The port's other end is in another namespace: a number.
  ports: (text) => objects<{ link?: string }>(text).map(({ link: _, ...port }) => JSON.stringify(port)),
  vlans: (text) => objects(text).map((port) => JSON.stringify(port)),
  iptables: (text) =>
    lines(text)
      .filter((line) => !line.startsWith('#'))
      .map(withoutCounters),
  nftables: describeNftables,
  sysctls: lines,
};

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

/** Numbers, timers and what follows from a MAC address; `tentative` goes by itself. */
const NOISE = /^(ifindex|link_index|link_netnsid|\w+_timer|bridge_id|root_id|designated_(bridge|root)|tentative)$/;

function objects<T = object>(text: string): T[] {
  if (text.trim() === '') return [];
  return JSON.parse(text, (key, value: unknown) => (NOISE.test(key) ? undefined : value)) as T[];
}

interface Link {
  readonly ifname: string;
  readonly addr_info?: readonly { readonly scope: string; readonly family: string }[];
}

function describeLink({ addr_info = [], ...link }: Link): string[] {
  // IPv6 link-local addresses come by themselves, some time after the link.
  const given = addr_info.filter(({ family, scope }) => family !== 'inet6' || scope !== 'link');
  return [JSON.stringify(link), ...given.map((address) => JSON.stringify({ dev: link.ifname, ...address }))];
}

interface Route {
  readonly type?: string;
  readonly dst: string;
}

/** The others come with addresses and forwarding, IPv6 ones once the address has settled. */
function isMade({ type, dst }: Route): boolean {
  return type === 'unicast' && !dst.startsWith('fe80:');
}

interface Neighbour {
  readonly dst: string;
  readonly state: readonly string[];
}

/** The others are multicast, and the kernel's chat about link-local addresses. */
function isTold({ dst, state }: Neighbour): boolean {
  return !state.includes('NOARP') && !dst.startsWith('fe80:');
}

/** Each line with its table and chain; chains by name, for they are listed in the order in which they were made. */
function describeNftables(text: string): string[] {
  let [table, chain] = ['', ''];
  const placed = text.split('\n').flatMap((line) => {
    if (line.startsWith('table ')) [table, chain] = [line, ''];
    else if (/^\t(chain|set|map) /.test(line)) chain = line.trim();
    return /^\s*\}?$/.test(line) ? [] : [{ place: `${table} ${chain}`, line: withoutCounters(line.trim()) }];
  });
  placed.sort((one, two) => (one.place < two.place ? -1 : Number(one.place > two.place)));
  return placed.map(({ place, line }) => `${place} ${line}`);
}

/**
 * nft names the target `masquerade` of a rule of iptables' in the family only whose table it lists first, and which that is
 * is chance; what iptables-save shows of it is compared, too.
 */
function withoutCounters(line: string): string {
  return line.replace(/ \[\d+:\d+\]$/, '').replace(/counter packets \d+ bytes \d+(?: masquerade$)?/, 'counter');
}

/** Path, mode and content of each file; but not what our host-local adds, which no other looks at. */
function* files(folder: string, below: string): Generator<string> {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder).sort()) {
    if (name === '.nodecni') continue;
    const path = `${folder}/${name}`;
    const status = lstatSync(path);
    const mode = (status.mode & 0o7777).toString(8);
    if (!status.isDirectory()) yield JSON.stringify([`${below}${name}`, mode, readFileSync(path, 'utf8')]);
    else {
      yield JSON.stringify([`${below}${name}/`, mode]);
      yield* files(path, `${below}${name}/`);
    }
  }
}

const MAC = /\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b/g;
/** Nobody's, or given by a test. */
const FIXED_MAC = /^(ff:ff:ff|00:00:00|02:00:00:00:00):/;
const VETH = /\bveth[0-9a-f]{8}\b/g;
const WORLD = /\bw\d+-\d+-/g;

/** `value` with random names and MAC addresses numbered in the order in which they come, and worlds made the same. */
export function withoutRandom<T>(value: T): T {
  const text = JSON.stringify(value).replace(WORLD, 'world-').replace(VETH, numbering('veth'));
  const number = numbering('mac');
  return JSON.parse(text.replace(MAC, (mac) => (FIXED_MAC.test(mac) ? mac : number(mac)))) as T;
}

function numbering(kind: string): (name: string) => string {
  const seen = new Map<string, string>();
  return (name) => {
    const known = seen.get(name) ?? `${kind}#${seen.size}`;
    seen.set(name, known);
    return known;
  };
}
