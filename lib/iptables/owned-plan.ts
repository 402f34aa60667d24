/**
 * What goes with dead attachments, as a pure function of the nat table: their containers' chains, and the rules that
 * are about their addresses, whoever made them (the reference names and comments its rules the same way).
 */
import type { Family } from '../net/ip.ts';
import { type ChainOwner, type ChainPrefix, chainName, isOwnedChain } from './chain-name.ts';
import { planForwardRemoval } from './forwards.ts';
import type { NatTable } from './nat.ts';
import { type Jump, jumpsByTarget, removeChains, replaceRules } from './nat-lines.ts';
import { hostCidr, optionOf } from './rule.ts';

export interface DeadRules {
  /** Canonical texts, of this family. */
  readonly addresses: readonly string[];
  /** Containers that are dead as a whole: all that is in their chains goes. */
  readonly owners: readonly ChainOwner[];
  /** The addresses are of these networks: another network may have the same one, for a container that lives. */
  readonly networks: readonly string[];
}

const PREFIXES: readonly ChainPrefix[] = ['CNI-', 'CNI-DN-', 'CNI-SN-'];

/** What one kind of chain contributes: lines for chains that stay, names of those that go. */
interface Part {
  readonly lines: string[];
  readonly chains: string[];
}

/** Lines for applyNat(); none when nothing of the dead is left. A chain that serves others, too, keeps their rules. */
export function planDeadRemoval({ addresses, owners, networks }: DeadRules, table: NatTable, family: Family): string[] {
  const named = owners.flatMap(({ network, containerId }) =>
    PREFIXES.map((prefix) => chainName(prefix, network, containerId)),
  );
  const dead = new Set(named.filter((chain) => table.has(chain)));
  const jumps = jumpsByTarget(table);
  const isCandidate = (chain: string, prefix: ChainPrefix) =>
    isOwnedChain(chain, prefix) && !dead.has(chain) && isOfNetwork(jumps.get(chain) ?? [], networks);
  const chains = (prefix: ChainPrefix) => [...table.keys()].filter((chain) => isCandidate(chain, prefix));
  const parts = [
    planMasquerade(chains('CNI-'), { jumps, sources: new Set(addresses.map((ip) => hostCidr(ip, family))) }),
    planForwards(chains('CNI-DN-'), { table, addresses: new Set(addresses) }),
    planLocalMasquerade(chains('CNI-SN-'), { table, targets: new Set(addresses.map((ip) => hostCidr(ip, family))) }),
  ];
  const gone = [...dead, ...parts.flatMap((part) => part.chains)];
  return [...parts.flatMap((part) => part.lines), ...removeChains(gone, table)];
}

/** Rules without a comment of ours count as of any network. */
function isOfNetwork(jumps: readonly Jump[], networks: readonly string[]): boolean {
  return jumps.every(({ rule }) => {
    const network = /^(?:[ds]nat )?name: "([^"]*)" id: "/.exec(optionOf(rule, '--comment') ?? '')?.[1];
    return network === undefined || networks.includes(network);
  });
}

function planMasquerade(
  chains: readonly string[],
  { jumps, sources }: { jumps: ReadonlyMap<string, readonly Jump[]>; sources: ReadonlySet<string> },
): Part {
  const part: Part = { lines: [], chains: [] };
  for (const chain of chains) {
    const leading = jumps.get(chain) ?? [];
    const left = leading.filter(({ rule }) => !sources.has(optionOf(rule, '-s') ?? ''));
    if (left.length === leading.length) continue;
    if (left.length === 0) part.chains.push(chain);
    else part.lines.push(...replaceRules('POSTROUTING', leading.map(ruleOf), left.map(ruleOf)));
  }
  return part;
}

function ruleOf({ rule }: Jump): string {
  return rule;
}

function planForwards(
  chains: readonly string[],
  { table, addresses }: { table: NatTable; addresses: ReadonlySet<string> },
): Part {
  const part: Part = { lines: [], chains: [] };
  for (const chain of chains) {
    const { lines, isEmpty } = planForwardRemoval(chain, ({ address }) => addresses.has(address), table);
    if (isEmpty) part.chains.push(chain);
    else part.lines.push(...lines);
  }
  return part;
}

/** Chains of the reference before 0.8: `-s 127.0.0.1/32 -d 10.1.0.5/32 … -j MASQUERADE`. */
function planLocalMasquerade(
  chains: readonly string[],
  { table, targets }: { table: NatTable; targets: ReadonlySet<string> },
): Part {
  const part: Part = { lines: [], chains: [] };
  for (const chain of chains) {
    const rules = table.get(chain) ?? [];
    const left = rules.filter((rule) => !targets.has(optionOf(rule, '-d') ?? ''));
    if (left.length === rules.length) continue;
    if (left.length === 0) part.chains.push(chain);
    else part.lines.push(...replaceRules(chain, rules, left));
  }
  return part;
}
