/** The nat table of one family: read whole with iptables-save, changed by one iptables-restore --noflush. */
import { CniError, code } from '../cni/errors.ts';
import { findTool, run, ToolError } from '../exec.ts';
import type { Family } from '../net/ip.ts';
import { sameRule } from './rule.ts';

/** Chains by name, each with its rules in order, as `iptables-save` prints them after `-A CHAIN `. */
export type NatTable = ReadonlyMap<string, readonly string[]>;

/** Seconds that iptables waits for the xtables lock. */
const LOCK_WAIT_S = 20;

/** The two programs that a family takes. */
export const TOOLS = {
  4: { save: 'iptables-save', restore: 'iptables-restore' },
  6: { save: 'ip6tables-save', restore: 'ip6tables-restore' },
} as const;

/** What the kernel holds now. Throws ToolError. */
export function saveNat(family: Family): NatTable {
  return parseNat(run(TOOLS[family].save, ['-t', 'nat']));
}

/** The table; `undefined` when this host cannot have one. Throws ToolError. */
export function saveIfSupported(family: Family): NatTable | undefined {
  if (findTool(TOOLS[family].save) === undefined || findTool(TOOLS[family].restore) === undefined) return undefined;
  try {
    return saveNat(family);
  } catch (error) {
    // Of iptables-legacy: no module, no such family; of iptables-nft: a kernel without nf_tables.
    const cannot = /do you need to insmod|not supported|Could not fetch rule set generation id: Invalid argument/;
    if (error instanceof ToolError && cannot.test(error.stderr)) return undefined;
    throw error;
  }
}

/** Parses the output of `iptables-save -t nat`. */
export function parseNat(text: string): NatTable {
  const chains = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const chain = /^:(\S+) /.exec(line)?.[1];
    if (chain !== undefined) chains.set(chain, chains.get(chain) ?? []);
    const rule = /^-A (\S+) (.*)$/.exec(line);
    if (rule?.[1] !== undefined && rule[2] !== undefined) {
      const rules = chains.get(rule[1]);
      if (rules === undefined) chains.set(rule[1], [rule[2]]);
      else rules.push(rule[2]);
    }
  }
  return chains;
}

/**
 * One transaction on the nat table: `lines` are commands of iptables-restore (`-N CHAIN`, `-A CHAIN …`, `-D …`, `-X
 * CHAIN`). All or nothing. Do not declare a chain as `:CHAIN`: that flushes one which exists. Throws ToolError.
 */
export function restoreNat(family: Family, lines: readonly string[]): void {
  if (lines.length === 0) return;
  const input = ['*nat', ...lines, 'COMMIT', ''].join('\n');
  run(TOOLS[family].restore, ['--noflush', `--wait=${LOCK_WAIT_S}`], { input, timeoutMs: (LOCK_WAIT_S + 10) * 1000 });
}

/** True when the table's `chain` holds `rule` (its text after `-A CHAIN `). */
export function hasRule(table: NatTable, chain: string, rule: string): boolean {
  return table.get(chain)?.some((present) => sameRule(present, rule)) === true;
}

/**
 * The same for lines that suppose a state: returns the kernel's refusal, `undefined` when they are written. Throws code
 * 11 when another process kept the xtables lock, ToolError when there was no answer.
 */
export function tryRestoreNat(family: Family, lines: readonly string[]): ToolError | undefined {
  try {
    restoreNat(family, lines);
    return undefined;
  } catch (error) {
    if (!(error instanceof ToolError) || error.exitCode === undefined) throw error;
    if (error.stderr.includes('xtables lock')) throw lockHeld(family, error);
    return error;
  }
}

/** How often a plan is made again after another process changed the table between looking and writing. */
const MAX_ATTEMPTS = 20;

/**
 * Writes `plan(undefined)`, the optimistic transaction that supposes the usual state; when the kernel refuses it,
 * looks and writes `plan(table)`, again and again while others change the table at the same time. A plan without
 * lines is done. Whoever has looked already gives what it saw as `seen`. Returns the lines written. Throws the last
 * ToolError; nothing is written then.
 */
export function applyNat(
  family: Family,
  plan: (table: NatTable | undefined) => readonly string[],
  seen?: NatTable,
): readonly string[] {
  let table = seen;
  for (let attempt = 1; ; attempt += 1) {
    const lines = plan(table);
    const refusal = tryRestoreNat(family, lines);
    if (refusal === undefined) return lines;
    if (attempt === MAX_ATTEMPTS) throw refusal;
    const now = saveNat(family);
    // The same refusal of a plan made for exactly this state is no race.
    if (table !== undefined && sameTable(table, now)) throw refusal;
    table = now;
  }
}

function lockHeld(family: Family, cause: ToolError): CniError {
  return new CniError(
    code.tryAgainLater,
    `cannot change the IPv${family} nat table: another process held the xtables lock for ${LOCK_WAIT_S} s`,
    { details: `"fuser -v /run/xtables.lock" names the holder; ${cause.stderr.trim().split('\n').at(-1)}`, cause },
  );
}

function sameTable(one: NatTable, two: NatTable): boolean {
  const text = (table: NatTable) => JSON.stringify([...table].sort(([a], [b]) => (a < b ? -1 : 1)));
  return text(one) === text(two);
}
