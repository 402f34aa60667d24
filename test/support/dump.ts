/**
 * Everything that a plugin could leave behind, as text to compare before and after. Left out is what stays by design:
 * the bridge with its address, sysctls, portmap's shared chains, host-local's `lock` and `last_reserved_ip.*`.
 */

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Namespace, World } from './world.ts';

export interface Dump {
  /** Lines per namespace. */
  readonly namespaces: Readonly<Record<string, NamespaceDump>>;
  /** Path → content. */
  readonly files: Readonly<Record<string, string>>;
}

export interface NamespaceDump {
  readonly links: readonly string[];
  readonly addresses: readonly string[];
  readonly routes: readonly string[];
  readonly rules: readonly string[];
  /** nftables other than those that iptables makes for itself. */
  readonly nftables: readonly string[];
}

/** Folders in which plugins and runtimes keep state. */
const STATE_FOLDERS = ['/var/lib/cni', '/etc/cni', '/run'];
/** Below those: what is the test's own. */
const NOT_STATE = ['/run/netns', '/run/nodecni-test', '/run/layers', '/run/xtables.lock', '/run/nodecni'];
/** What stays by design: locks, cursors, and our index of the leases. */
const KEPT = /^(lock|last_reserved_ip\..*|folder-seen|owners)$/;

export async function dump(world: World): Promise<Dump> {
  const present = [world.node, ...world.pods].filter(({ path }) => isNamespace(path));
  const entries = present.map(async (namespace) => [namespace.name, await dumpNamespace(namespace)] as const);
  const files = [world.dataDir, world.stateDir, ...STATE_FOLDERS].flatMap((folder) => [...walk(folder)]);
  const contents = files.map((path) => [path, readFileSync(path, 'utf8')] as const);
  return { namespaces: Object.fromEntries(await Promise.all(entries)), files: Object.fromEntries(contents) };
}

interface Link {
  readonly ifindex: number;
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly master?: string;
  readonly address: string;
  readonly linkinfo?: { readonly info_kind?: string; readonly info_slave_data?: { readonly hairpin?: boolean } };
  readonly addr_info?: readonly Address[];
}

interface Address {
  readonly local: string;
  readonly prefixlen: number;
  readonly scope: string;
}

interface Route {
  readonly dst: string;
  readonly dev?: string;
  readonly type?: string;
}

const SAVE_RULES = 'iptables-save; ip6tables-save';

const COMMANDS = {
  links: 'ip -json -details address',
  ipv4: 'ip -json -details -4 route show table all',
  ipv6: 'ip -json -details -6 route show table all',
  rules: SAVE_RULES,
  nftables: 'nft list ruleset 2>/dev/null',
};

export async function dumpNamespace(namespace: Namespace): Promise<NamespaceDump> {
  const seen = await namespace.runEach(COMMANDS);
  const links = parseObjects<Link>(seen.links);
  const bridges = new Set(links.filter(({ linkinfo }) => linkinfo?.info_kind === 'bridge').map(({ ifname }) => ifname));
  const kept = links.filter(({ ifname }) => !bridges.has(ifname));
  const routes = [seen.ipv4, seen.ipv6]
    .flatMap(parseObjects<Route>)
    .filter((route) => !bridges.has(route.dev ?? '') && !isAutomatic(route));
  return {
    links: kept.map(describeLink).sort(),
    addresses: kept.flatMap(({ ifname, addr_info }) => describeAddresses(ifname, addr_info ?? [])),
    routes: routes.map((route) => JSON.stringify(route)).sort(),
    rules: ownRules(seen.rules).filter((line) => !isShared(line)),
    nftables: foreignTables(seen.nftables),
  };
}

/** What `ip -json` printed: nothing at all when there is nothing. */
export function parseObjects<T>(text: string): T[] {
  return text.trim() === '' ? [] : (JSON.parse(text) as T[]);
}

/** What does not change by itself: not the state of the bridge port's timers, for one. */
function describeLink({ ifindex, ifname, flags, mtu, master, address, linkinfo }: Link): string {
  const hairpin = linkinfo?.info_slave_data?.hairpin;
  return JSON.stringify({ ifindex, ifname, flags, mtu, master, address, kind: linkinfo?.info_kind, hairpin });
}

/** Without link-local ones: they come and settle by themselves, a second after their link. */
function describeAddresses(ifname: string, found: readonly Address[]): string[] {
  const global = found.filter(({ scope }) => scope !== 'link');
  return global.map(({ local, prefixlen, scope }) => `${ifname} ${local}/${prefixlen} ${scope}`);
}

/** Anycast routes come with the forwarding sysctl on every link, the others with link-local addresses. */
function isAutomatic({ dst, type }: Route): boolean {
  return type === 'anycast' || /^(fe80|ff00):/.test(dst);
}

const SHARED_DECLARATION = /^:CNI-HOSTPORT-(DNAT|SETMARK|MASQ) /;
const SHARED_RULES = [
  /^-A (PREROUTING|OUTPUT) .*-j CNI-HOSTPORT-DNAT$/,
  /^-A POSTROUTING .*-j CNI-HOSTPORT-MASQ$/,
  /^-A CNI-HOSTPORT-(SETMARK|MASQ) /,
];

function isShared(line: string): boolean {
  return SHARED_DECLARATION.test(line) || SHARED_RULES.some((pattern) => pattern.test(line));
}

/** Own chains and rules of all tables and both families, in order. */
export async function savedRules(namespace: Namespace): Promise<string[]> {
  return ownRules((await namespace.runEach({ rules: SAVE_RULES })).rules);
}

/** Every line of the tables that iptables did not make for itself. */
export async function savedNftables(namespace: Namespace): Promise<string[]> {
  const { nftables } = await namespace.runEach({ nftables: COMMANDS.nftables });
  return tablesOf(nftables).flatMap((text) => text.split('\n').filter((line) => line !== ''));
}

/** Without counters, and without built-in chains: they appear with the first rule and stay. */
function ownRules(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => /^-A |^:\S+ - /.test(line))
    .map(withoutCounters);
}

function withoutCounters(line: string): string {
  return line.replace(/ \[\d+:\d+\]$/, '');
}

/** Tables that stay, empty of containers' rules, and what they hold even then. */
const SHARED_TABLE = /^table (ip6? cni_hostport|inet cni_plugins_masquerade|inet nodecni|bridge nat) /;
const SHARED_LINE =
  /^((table|chain) .*\{|\}|comment ".*"|type (nat|filter) hook .*|(.* )?fib daddr type local jump hostports_all|jump host\w+|goto masq_checks|ip6? daddr [\w.:]+\/\d return)$/;
/** Those of `inet nodecni`, but for elements. */
const SETS_LINE =
  /^((map|set) \w+ \{|flags interval|type (ipv\d_addr|inet_proto)( . .*)?|(.* )?@\w+( return| masquerade)?|fib daddr type local goto host_ports)$/;

/** A text per table; of shared ones a text per line. */
function foreignTables(ruleset: string): string[] {
  return tablesOf(ruleset).flatMap((text) => (SHARED_TABLE.test(text) ? ownedLines(text) : [text]));
}

/** A text per table, but for those that iptables makes for itself. */
function tablesOf(ruleset: string): string[] {
  const tables = ruleset.split(/^(?=table )/m).filter((text) => text.startsWith('table '));
  return tables.filter((text) => !/^table ip6? (nat|filter|mangle|raw) /.test(text));
}

function ownedLines(text: string): string[] {
  const [table = '', ...rest] = text.split('\n').map((line) => line.trim());
  return rest
    .filter((line) => line !== '' && !SHARED_LINE.test(line) && !SETS_LINE.test(line))
    .map((line) => `${table} ${line}`);
}

function* walk(folder: string): Generator<string> {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (NOT_STATE.includes(path) || KEPT.test(entry.name)) continue;
    if (entry.isDirectory()) yield* walk(path);
    else yield path;
  }
}

/** False for a path where nothing or no namespace is mounted any more. */
export function isNamespace(path: string): boolean {
  if (!existsSync(path)) return false;
  // A namespace file lives on nsfs, whose device is not the one of the folder it is mounted in.
  return statSync(path).dev !== statSync('/run/netns').dev;
}

/** How many processes have `text` in their command line. */
export function processesWith(text: string): number {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name) && commandLine(name).includes(text)).length;
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    // It ended meanwhile.
    return '';
  }
}

export interface Changes {
  /** Lines that are new. */
  readonly left: readonly string[];
  /** Lines that are gone; those of a namespace that itself is gone do not count. */
  readonly lost: readonly string[];
}

export const NO_CHANGES: Changes = { left: [], lost: [] };

/** What is other now than in `before`, but for namespaces that are new since. */
export async function changesSince(world: World, before: Dump): Promise<Changes> {
  const now = await dump(world);
  const names = Object.keys(before.namespaces).filter((name) => name in now.namespaces);
  const old = new Set(lines(before, names));
  const present = new Set(lines(now, names));
  return { left: [...present].filter((line) => !old.has(line)), lost: [...old].filter((line) => !present.has(line)) };
}

function lines(dumped: Dump, names: readonly string[]): string[] {
  const ofNamespaces = names.flatMap((name) => {
    const sections = Object.entries(dumped.namespaces[name] ?? {}) as [string, readonly string[]][];
    return sections.flatMap(([section, texts]) => texts.map((text) => `${name} ${section}: ${text}`));
  });
  return [...ofNamespaces, ...Object.entries(dumped.files).map(([path, content]) => `${path}: ${content}`)];
}
