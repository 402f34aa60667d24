/** Firewalls that drop what is forwarded unless a rule accepts it, as Docker's FORWARD does. Pure. */
import { type Cidr, type Family, overlaps, parseCidr, parseIp } from '../../lib/net/ip.ts';

/** A chain that drops by its policy, with all rules beside it. */
export interface FilterRules {
  /** For people: `chain FORWARD of iptables`. */
  readonly what: string;
  readonly families: readonly Family[];
  /** All rules that may accept, as iptables-save or nft print them. */
  readonly rules: readonly string[];
  /** Commands that let a bridge through. */
  readonly fixes: (bridge: string) => readonly string[];
}

/** The filter table of one family, from iptables-save(8); `undefined` when it does not drop. */
export function parseFilterTable(text: string, family: Family): FilterRules | undefined {
  const lines = text.split('\n');
  if (!lines.some((line) => line.startsWith(':FORWARD DROP'))) return undefined;
  const tool = family === 4 ? 'iptables' : 'ip6tables';
  return {
    what: `chain FORWARD of ${tool}`,
    families: [family],
    rules: lines.filter((line) => line.startsWith('-A ') && !/^-A (INPUT|OUTPUT) /.test(line)),
    fixes: (bridge) => ['-i', '-o'].map((side) => `${tool} -I FORWARD ${side} ${bridge} -j ACCEPT`),
  };
}

/** A base chain of nftables. */
export interface DroppingChain {
  /** `inet filter`. */
  readonly table: string;
  readonly chain: string;
}

/** Chains that drop what is forwarded, in what `nft list chains` prints. */
export function parseDroppingChains(text: string): DroppingChain[] {
  const found: DroppingChain[] = [];
  let table = '';
  let chain = '';
  for (const line of text.split('\n')) {
    table = /^table (\S+ \S+) \{/.exec(line)?.[1] ?? table;
    chain = /^\s+chain (\S+) \{/.exec(line)?.[1] ?? chain;
    if (/hook forward .*policy drop/.test(line)) found.push({ table, chain });
  }
  return found;
}

/** `text` is what `nft list table` prints of the chain's table. */
export function filterOfTable({ table, chain }: DroppingChain, text: string): FilterRules {
  const families: { readonly [name: string]: readonly Family[] } = { ip: [4], ip6: [6], inet: [4, 6] };
  return {
    what: `chain ${chain} of the nftables table ${table}`,
    families: families[table.split(' ')[0] ?? ''] ?? [],
    rules: text.split('\n').map((line) => line.trim()),
    fixes: (bridge) =>
      ['iifname', 'oifname'].map((side) => `nft insert rule ${table} ${chain} ${side} ${bridge} accept`),
  };
}

/** True when no rule accepts traffic of `bridge`, or of one of `networks`, or simply everything. */
export function forwardsAreDropped({ rules }: FilterRules, bridge: string, networks: readonly Cidr[]): boolean {
  return !rules.some((rule) => accepts(rule, bridge, networks));
}

function accepts(rule: string, bridge: string, networks: readonly Cidr[]): boolean {
  if (/^-A \S+ -j ACCEPT$|^(counter packets \d+ bytes \d+ )?accept$/.test(rule)) return true;
  if (!/ -j ACCEPT\b|\baccept\b/.test(rule)) return false;
  const words = rule.split(/[\s",{}]+/);
  return words.some((word) => isLink(word, bridge) || isNetwork(word, networks));
}

/** `cni+` of iptables and `cni*` of nftables stand for all names that begin so. */
function isLink(word: string, bridge: string): boolean {
  return word === bridge || (/[+*]$/.test(word) && bridge.startsWith(word.slice(0, -1)));
}

function isNetwork(word: string, networks: readonly Cidr[]): boolean {
  const ip = parseIp(word);
  const cidr = parseCidr(word) ?? (ip === undefined ? undefined : { ip, prefix: ip.family === 4 ? 32 : 128 });
  return cidr !== undefined && networks.some((network) => overlaps(network, cidr));
}
