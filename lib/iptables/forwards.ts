/**
 * The rules of containers' `CNI-DN-` chains, read back from the nat table: which send to a container, and what leads
 * to them. Works the same for those that the reference made.
 */
import { DNAT_CHAIN } from './chain-name.ts';
import type { NatTable } from './nat.ts';
import { replaceRules } from './nat-lines.ts';
import { optionOf } from './rule.ts';

/** One rule that sends to a container. */
export interface Forward {
  readonly rule: string;
  /** Protocol and port, and the address of the host if it is narrowed down to one: by these, marks belong to it. */
  readonly match: string;
  readonly address: string;
}

export function forwardsIn(rules: readonly string[]): Forward[] {
  return rules.flatMap((rule) => {
    const to = optionOf(rule, '--to-destination');
    return to === undefined ? [] : [{ rule, match: matchOf(rule), address: hostOf(to) }];
  });
}

/** The address in `10.1.0.5:80`, `10.1.0.5`, `[fd00::5]:80` or `fd00::5`. */
function hostOf(destination: string): string {
  const bracketed = /^\[(.*)\]/.exec(destination)?.[1];
  return bracketed ?? (/:.*:/.test(destination) ? destination : destination.replace(/:.*$/, ''));
}

export function matchOf(rule: string): string {
  return ['-p', '--dport', '-d'].map((option) => optionOf(rule, option) ?? '').join(' ');
}

/** `rules` without the forwards that `isGone` picks and the marks that none of those left needs. */
export function withoutForwards(rules: readonly string[], isGone: (forward: Forward) => boolean): string[] {
  const forwards = forwardsIn(rules);
  const gone = forwards.filter(isGone);
  if (gone.length === 0) return [...rules];
  const goneRules = new Set(gone.map(({ rule }) => rule));
  const left = forwards.filter(({ rule }) => !goneRules.has(rule));
  const leftRules = new Set(left.map(({ rule }) => rule));
  const goneMatches = new Set(gone.map(({ match }) => match));
  for (const { match } of left) goneMatches.delete(match);
  return rules.filter((rule) => leftRules.has(rule) || !(goneRules.has(rule) || goneMatches.has(matchOf(rule))));
}

/** The rules of CNI-HOSTPORT-DNAT that lead to the chain of a container. */
export function jumpsTo(chain: string, table: NatTable): string[] {
  return (table.get(DNAT_CHAIN) ?? []).filter((rule) => rule.endsWith(`-j ${chain}`));
}

/** `tcp 8080` for each port that a rule with xt_multiport names. */
export function portsOf(rule: string): string[] {
  const ports = optionOf(rule, '--dports')?.split(',') ?? [];
  return ports.map((port) => `${optionOf(rule, '-p')} ${port}`);
}

/** `tcp 8080` for each port that `rules` forward. */
export function servedPorts(rules: readonly string[]): Set<string> {
  return new Set(forwardsIn(rules).map(({ rule }) => `${optionOf(rule, '-p')} ${optionOf(rule, '--dport')}`));
}

/** Takes the forwards that `isGone` picks out of the container's `chain`, and the jumps for ports that it serves no more. */
export function planForwardRemoval(
  chain: string,
  isGone: (forward: Forward) => boolean,
  table: NatTable,
): { readonly lines: readonly string[]; readonly isEmpty: boolean } {
  const present = table.get(chain) ?? [];
  const rules = withoutForwards(present, isGone);
  if (rules.length === present.length) return { lines: [], isEmpty: false };
  const served = servedPorts(rules);
  const jumps = jumpsTo(chain, table);
  const useful = jumps.filter((rule) => portsOf(rule).some((port) => served.has(port)));
  const lines = [...replaceRules(chain, present, rules), ...replaceRules(DNAT_CHAIN, jumps, useful)];
  return { lines, isEmpty: forwardsIn(rules).length === 0 };
}
