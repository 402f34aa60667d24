/** Lines for applyNat(): replacing some rules of a chain, removing chains, and taking lines back. */
import type { NatTable } from './nat.ts';

/**
 * Turns `present`, which are rules of `chain`, into `wanted`; other rules of the chain stay. When rules go, all of
 * `present` go and the rest comes again: ip6tables-legacy 1.8.9 does not compare ports and addresses, so a single `-D`
 * may hit a rule that only resembles the one meant.
 */
export function replaceRules(chain: string, present: readonly string[], wanted: readonly string[]): string[] {
  const stays = present.every((rule, index) => rule === wanted[index]);
  const gone = stays ? [] : present;
  const added = stays ? wanted.slice(present.length) : wanted;
  return [...gone.map((rule) => `-D ${chain} ${rule}`), ...added.map((rule) => `-A ${chain} ${rule}`)];
}

/**
 * The lines that take back `lines`, but for those on chains that others use too. Lines of one kind and chain that stand
 * together stay in order: what was deleted comes again as it was, and deleting from the front is what iptables is fast at.
 */
export function inverseLines(lines: readonly string[], ownChain: string): string[] {
  const groups: string[][] = [];
  let last: string | undefined;
  for (const line of lines) {
    const kind = line.split(' ', 2).join(' ');
    if (kind === last) groups.at(-1)?.push(line);
    else groups.push([line]);
    last = kind;
  }
  return groups
    .toReversed()
    .flat()
    .map((line) => inverseLine(line, ownChain))
    .filter((line) => line !== undefined);
}

function inverseLine(line: string, ownChain: string): string | undefined {
  const [, command = '', chain = '', rest = ''] = /^(-\w) (\S+) ?(.*)$/.exec(line) ?? [];
  if (chain !== ownChain && !rest.endsWith(`-j ${ownChain}`)) return undefined;
  switch (command) {
    case '-N':
      return `-X ${chain}`;
    case '-A':
      return `-D ${chain} ${rest}`;
    case '-D':
      return `-A ${chain} ${rest}`;
    default:
      return undefined;
  }
}

/** Takes `chains` out of `table`, with all that they hold and all that leads to them, whoever made it. */
export function removeChains(chains: readonly string[], table: NatTable): string[] {
  const leading = jumpsByTarget(table);
  return chains.flatMap((chain) => [
    ...(leading.get(chain) ?? []).map(({ from, rule }) => `-D ${from} ${rule}`),
    ...(table.get(chain) ?? []).map((rule) => `-D ${chain} ${rule}`),
    `-X ${chain}`,
  ]);
}

export interface Jump {
  readonly from: string;
  readonly rule: string;
}

/** The rules that lead to each chain. */
export function jumpsByTarget(table: NatTable): ReadonlyMap<string, readonly Jump[]> {
  const jumps = new Map<string, Jump[]>();
  for (const [from, rules] of table) {
    for (const rule of rules) {
      const chain = /-j (\S+)$/.exec(rule)?.[1];
      if (chain === undefined || !table.has(chain)) continue;
      const known = jumps.get(chain);
      if (known === undefined) jumps.set(chain, [{ from, rule }]);
      else known.push({ from, rule });
    }
  }
  return jumps;
}
