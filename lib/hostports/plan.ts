/** The transactions of ADD and DEL and the findings of CHECK, as pure functions of the wanted rules and the nat table. */
import { DNAT_CHAIN } from '../iptables/chain-name.ts';
import {
  type Forward,
  forwardsIn,
  jumpsTo,
  matchOf,
  portsOf,
  servedPorts,
  withoutForwards,
} from '../iptables/forwards.ts';
import { hasRule, type NatTable } from '../iptables/nat.ts';
import { removeChains, replaceRules } from '../iptables/nat-lines.ts';
import { includesRule, ruleKey, sameRule } from '../iptables/rule.ts';
import { chainRules, type EntryRule, type FamilyRules } from './rules.ts';

/** Whose rules may be in the container's chain beside the wanted ones. */
export interface Neighbours {
  /** What an earlier ADD of this attachment wanted. */
  readonly former: FamilyRules | undefined;
  /** Addresses of the container's other interfaces on this network. */
  readonly living: readonly string[];
  /** Addresses that nobody has any more. */
  readonly dead?: readonly string[];
}

/**
 * The usual case, a container seen for the first time on a host that has seen others: refused as a whole when a shared
 * rule is missing or the container's chain is there already.
 */
export function planUsualAdd(wanted: FamilyRules): string[] {
  return [
    ...wanted.sharedRules.map(({ chain, rule }) => `-C ${chain} ${rule}`),
    `-N ${wanted.chain}`,
    ...chainRules(wanted).map((rule) => `-A ${wanted.chain} ${rule}`),
    ...wanted.entries.map(({ rule }) => `-A ${DNAT_CHAIN} ${rule}`),
  ];
}

/** What planUsualAdd() leaves behind, each as `CHAIN RULE`. */
export function usualRules(wanted: FamilyRules): string[] {
  return [
    ...wanted.sharedRules.map(({ chain, rule }) => `${chain} ${rule}`),
    ...chainRules(wanted).map((rule) => `${wanted.chain} ${rule}`),
    ...wanted.entries.map(({ rule }) => `${DNAT_CHAIN} ${rule}`),
  ];
}

/** Adds to `table` what is missing, and takes out what would keep traffic from the wanted address. */
export function planAdd(wanted: FamilyRules, table: NatTable, neighbours: Neighbours): string[] {
  const { chain, sharedChains, sharedRules, entries } = wanted;
  const present = table.get(chain) ?? [];
  const left = withoutForwards(present, staleFor(wanted, neighbours));
  const rules = withExcludes(wanted, withMappings(wanted, left), neighbours);
  const jumps = jumpsTo(chain, table);
  const newJumps = entries.filter((entry) => !jumps.some((rule) => isEntry(rule, entry))).map(({ rule }) => rule);
  const useful = [...withoutUselessJumps(jumps, rules, entries), ...newJumps];
  const formerJumps = jumps.filter((rule) => !entries.some((entry) => isEntry(rule, entry)));
  const spare = (neighbours.former?.entries ?? []).filter((entry) => formerJumps.some((rule) => isEntry(rule, entry)));
  return [
    ...[...sharedChains, chain].filter((name) => !table.has(name)).map((name) => `-N ${name}`),
    ...sharedRules
      .filter((shared) => !hasRule(table, shared.chain, shared.rule))
      .map((shared) => `${shared.first ? `-I ${shared.chain} 1` : `-A ${shared.chain}`} ${shared.rule}`),
    ...replaceRules(chain, present, rules),
    ...replaceRules(DNAT_CHAIN, jumps, withoutSpareJumps(useful, rules, spare)),
  ];
}

/** The usual case: exactly the wanted rules are there, and nothing else is in the chain. Refused as a whole otherwise. */
export function planUsualRemoval(wanted: FamilyRules): string[] {
  return [
    ...wanted.entries.map(({ rule }) => `-D ${DNAT_CHAIN} ${rule}`),
    ...chainRules(wanted).map((rule) => `-D ${wanted.chain} ${rule}`),
    `-X ${wanted.chain}`,
  ];
}

export interface Removal {
  readonly chain: string;
  /** Take out what sends to these; `undefined` when nobody knows any more: all but what sends to `living`. */
  readonly addresses: readonly string[] | undefined;
  /** Addresses of the container's other interfaces on this network. */
  readonly living?: readonly string[];
  /** Rules that lead to the chain and were the attachment's, as far as known. */
  readonly entries: readonly EntryRule[];
}

/** Takes one attachment's rules out of `table`, and with its last rule the chain and all that leads to it. */
export function planRemoval({ chain, addresses, living = [], entries }: Removal, table: NatTable): string[] {
  const present = table.get(chain);
  if (present === undefined) return [];
  const rules = withoutForwards(present, ({ address }) => addresses?.includes(address) ?? !living.includes(address));
  if (forwardsIn(rules).length === 0) return removeChains([chain], table);
  const jumps = jumpsTo(chain, table);
  const needed = withoutSpareJumps(jumps, rules, entries);
  return [
    ...replaceRules(chain, present, rules),
    ...replaceRules(DNAT_CHAIN, jumps, withoutUselessJumps(needed, rules, [])),
  ];
}

/** What traffic to the wanted address lacks, each as a part of a sentence: `chain X`, `rule "Y" in chain X`. */
export function findMissing(wanted: FamilyRules, table: NatTable): string[] {
  const chains = [...wanted.sharedChains, wanted.chain].filter((chain) => !table.has(chain));
  const own = new Set((table.get(wanted.chain) ?? []).map(ruleKey));
  const jumps = jumpsTo(wanted.chain, table);
  const rules = [
    ...wanted.sharedRules.filter(({ chain, rule }) => !hasRule(table, chain, rule)),
    ...chainRules(wanted)
      .filter((rule) => !own.has(ruleKey(rule)))
      .map((rule) => ({ chain: wanted.chain, rule })),
    ...wanted.entries
      .filter((entry) => !jumps.some((rule) => isEntry(rule, entry)))
      .map(({ rule }) => ({ chain: DNAT_CHAIN, rule })),
  ];
  return [
    ...chains.map((chain) => `chain ${chain}`),
    ...rules.filter(({ chain }) => table.has(chain)).map(({ chain, rule }) => `rule "${rule}" in chain ${chain}`),
  ];
}

/**
 * Forwards to another address that stand before ours: of an earlier ADD of this attachment, or of one whose DEL never
 * came. The port leads to this very container either way, so nobody else's traffic is touched.
 */
function staleFor(wanted: FamilyRules, { former, living, dead = [] }: Neighbours): (forward: Forward) => boolean {
  const own = new Set(chainRules(wanted).map(ruleKey));
  const ownMatches = new Set(wanted.mappings.map(({ dnat }) => matchOf(dnat)));
  const ours = [wanted.address, former?.address, ...dead];
  return ({ rule, match, address }) => {
    if (own.has(ruleKey(rule)) || living.includes(address)) return false;
    return ours.includes(address) || ownMatches.has(match);
  };
}

/** `rules` with what the wanted mappings lack: a mark behind its mapping's last rule would never be reached. */
function withMappings(wanted: FamilyRules, rules: readonly string[]): string[] {
  const byKey = new Map(rules.map((rule) => [ruleKey(rule), rule]));
  for (const { marks, dnat } of wanted.mappings) {
    const missing = marks.filter((mark) => !byKey.has(ruleKey(mark)));
    if (missing.length > 0) byKey.delete(ruleKey(dnat));
    for (const rule of [...missing, dnat]) if (!byKey.has(ruleKey(rule))) byKey.set(ruleKey(rule), rule);
  }
  return [...byKey.values()];
}

/** `rules` with the wanted exclusions before all others, and without those of an earlier ADD. */
function withExcludes({ excludes }: FamilyRules, rules: readonly string[], { former }: Neighbours): string[] {
  const own = new Set([...excludes, ...(former?.excludes ?? [])].map(ruleKey));
  return [...excludes, ...rules.filter((rule) => !own.has(ruleKey(rule)))];
}

/** With conditions, whose words the kernel prints in its own way, "the fixed part and something more" has to do. */
function isEntry(rule: string, { rule: wanted, fixedPart }: EntryRule): boolean {
  if (sameRule(wanted, fixedPart)) return sameRule(rule, wanted);
  return includesRule(rule, fixedPart) && !sameRule(rule, fixedPart);
}

/** `jumps` without each of `entries`, unless a forward in `rules` is reached through it only. */
function withoutSpareJumps(jumps: readonly string[], rules: readonly string[], entries: readonly EntryRule[]) {
  const served = servedPorts(rules);
  let left = jumps;
  for (const entry of entries) {
    const at = left.findIndex((rule) => isEntry(rule, entry));
    const others = at === -1 ? left : left.toSpliced(at, 1);
    const reached = new Set(others.flatMap(portsOf));
    const isNeeded = portsOf(left[at] ?? '').some((port) => served.has(port) && !reached.has(port));
    if (!isNeeded) left = others;
  }
  return left;
}

/** `jumps` without those for ports that `rules` forward no more, but with those to `keep`. */
function withoutUselessJumps(jumps: readonly string[], rules: readonly string[], keep: readonly EntryRule[]): string[] {
  const served = servedPorts(rules);
  return jumps.filter(
    (rule) => keep.some((entry) => isEntry(rule, entry)) || portsOf(rule).some((port) => served.has(port)),
  );
}
