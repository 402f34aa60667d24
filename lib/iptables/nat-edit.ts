/** Changes to a nat table: the lines for iptables-restore, together with the table as it will be after them. */
import type { NatTable } from './nat.ts';
import { ruleKey, sameRule } from './rule.ts';

export class NatEdit {
  /** What restoreNat() takes. */
  readonly lines: string[] = [];
  readonly #chains: Map<string, string[]>;
  /** Per chain that was asked about: how often each rule is in it. */
  readonly #counts = new Map<string, Map<string, number>>();

  constructor(table: NatTable) {
    this.#chains = new Map([...table].map(([chain, rules]) => [chain, [...rules]]));
  }

  chains(): string[] {
    return [...this.#chains.keys()];
  }

  hasChain(chain: string): boolean {
    return this.#chains.has(chain);
  }

  /** A copy, so that it can be walked while rules go. */
  rules(chain: string): string[] {
    return [...(this.#chains.get(chain) ?? [])];
  }

  has(chain: string, rule: string): boolean {
    return (this.#countsOf(chain).get(ruleKey(rule)) ?? 0) > 0;
  }

  ensureChain(chain: string): void {
    if (this.hasChain(chain)) return;
    this.lines.push(`-N ${chain}`);
    this.#chains.set(chain, []);
  }

  append(chain: string, rule: string): void {
    this.lines.push(`-A ${chain} ${rule}`);
    this.#chains.get(chain)?.push(rule);
    this.#count(chain, rule, 1);
  }

  prepend(chain: string, rule: string): void {
    this.lines.push(`-I ${chain} 1 ${rule}`);
    this.#chains.get(chain)?.unshift(rule);
    this.#count(chain, rule, 1);
  }

  /** Removes the first rule that is the same as `rule`; the kernel refuses the whole transaction when there is none. */
  remove(chain: string, rule: string): void {
    this.lines.push(`-D ${chain} ${rule}`);
    const rules = this.#chains.get(chain) ?? [];
    const at = rules.findIndex((present) => sameRule(present, rule));
    if (at !== -1) rules.splice(at, 1);
    this.#count(chain, rule, -1);
  }

  /** The kernel refuses it while the chain has rules or something jumps to it. */
  removeChain(chain: string): void {
    this.lines.push(`-X ${chain}`);
    this.#chains.delete(chain);
    this.#counts.delete(chain);
  }

  #countsOf(chain: string): Map<string, number> {
    const known = this.#counts.get(chain);
    if (known !== undefined) return known;
    const counts = new Map<string, number>();
    for (const rule of this.#chains.get(chain) ?? []) counts.set(ruleKey(rule), (counts.get(ruleKey(rule)) ?? 0) + 1);
    this.#counts.set(chain, counts);
    return counts;
  }

  #count(chain: string, rule: string, change: 1 | -1): void {
    const counts = this.#counts.get(chain);
    counts?.set(ruleKey(rule), (counts.get(ruleKey(rule)) ?? 0) + change);
  }
}

/** The lines that take back `lines`, last first, but for those on chains that others use too. */
export function inverseLines(lines: readonly string[], ownChain: string): string[] {
  return lines
    .toReversed()
    .map((line) => inverseLine(line, ownChain))
    .filter((line) => line !== undefined);
}

function inverseLine(line: string, ownChain: string): string | undefined {
  const [, command = '', chain = '', rest = ''] = /^(-\w) (\S+) ?(.*)$/.exec(line) ?? [];
  if (chain !== ownChain && !rest.endsWith(`-j ${ownChain}`)) return undefined;
  switch (command) {
    case '-N':
      return `-X ${chain}`;
    case '-X':
      return `-N ${chain}`;
    case '-A':
      return `-D ${chain} ${rest}`;
    case '-D':
      return `-A ${chain} ${rest}`;
    default:
      return undefined;
  }
}
