/** The tables of one family: read whole with iptables-save, changed by one iptables-restore --noflush. */
import { CniError, code } from '../cni/errors.ts';
import { findTool, run, runBeside, ToolError } from '../exec.ts';
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

/** Other than `nat` only for what that cannot do, such as dropping packets. */
export type TableName = 'nat' | 'raw';

/** What the kernel holds now. Throws ToolError. */
export function saveNat(family: Family): NatTable {
  return saveTable(family, 'nat');
}

function saveTable(family: Family, table: TableName): NatTable {
  return parseNat(run(TOOLS[family].save, ['-t', table]));
}

/** The table; `undefined` when this host cannot have one. Throws ToolError. */
export function saveIfSupported(family: Family, table: TableName = 'nat'): NatTable | undefined {
  if (findTool(TOOLS[family].save) === undefined || findTool(TOOLS[family].restore) === undefined) return undefined;
  try {
    return saveTable(family, table);
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

/** Commands of iptables-restore for each table: `-N CHAIN`, `-A CHAIN …`, `-D …`, `-X CHAIN`. */
export interface Changes {
  readonly nat: readonly string[];
  /** Written before those of `nat`. */
  readonly raw?: readonly string[] | undefined;
}

/**
 * What one call of iptables-restore takes, a transaction for each table. All or nothing of each; when `raw` is refused,
 * `nat` is not tried. Do not declare a chain as `:CHAIN`: that flushes one which exists. `undefined` for no lines.
 */
function restoring(family: Family, { raw = [], nat }: Changes): Parameters<typeof run> | undefined {
  const input = [...section('raw', raw), ...section('nat', nat)];
  if (input.length === 0) return undefined;
  const options = { input: `${input.join('\n')}\n`, timeoutMs: (LOCK_WAIT_S + 10) * 1000 };
  return [TOOLS[family].restore, ['--noflush', `--wait=${LOCK_WAIT_S}`], options];
}

function section(table: TableName, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`*${table}`, ...lines, 'COMMIT'];
}

/** True when the table's `chain` holds `rule` (its text after `-A CHAIN `). */
export function hasRule(table: NatTable, chain: string, rule: string): boolean {
  return table.get(chain)?.some((present) => sameRule(present, rule)) === true;
}

/**
 * True when the tables hold all of `rules`, each as `CHAIN RULE`: one call that reads only their chains. False may also
 * mean that they are there in other words. Not for IPv6, where ip6tables-legacy 1.8.9 takes a rule for another.
 */
export function holdsAll({ nat, raw = [] }: Changes): boolean {
  const checks = (rules: readonly string[]) => rules.map((rule) => `-C ${rule}`);
  return tryRestore(4, { nat: checks(nat), raw: checks(raw) }) === undefined;
}

/** For changes that suppose a state: the kernel's refusal, `undefined` when they are written. Throws as applyTables(). */
function tryRestore(family: Family, changes: Changes): ToolError | undefined {
  const call = restoring(family, changes);
  try {
    if (call !== undefined) run(...call);
    return undefined;
  } catch (error) {
    return refusalOf(family, error);
  }
}

/** The same, started when this returns. */
async function tryRestoreBeside(family: Family, changes: Changes): Promise<ToolError | undefined> {
  const call = restoring(family, changes);
  try {
    if (call !== undefined) await runBeside(...call);
    return undefined;
  } catch (error) {
    return refusalOf(family, error);
  }
}

function refusalOf(family: Family, error: unknown): ToolError {
  if (!(error instanceof ToolError) || error.exitCode === undefined) throw error;
  if (error.stderr.includes('xtables lock')) throw lockHeld(family, error);
  return error;
}

/** How often a plan is made again after another process changed the table between looking and writing. */
const MAX_ATTEMPTS = 20;

/** What plans are made from. */
export interface Tables {
  readonly nat: NatTable;
  /** `undefined` when nobody looked, or this kernel has none. */
  readonly raw?: NatTable | undefined;
}

export interface Planning {
  readonly plan: (tables: Tables | undefined) => Changes;
  readonly look: () => Tables;
}

/**
 * Writes `plan(undefined)`, the optimistic changes that suppose the usual state; when the kernel refuses them, looks and
 * writes `plan(tables)`, again and again while others change the tables at the same time. A plan without lines is done.
 * Whoever has looked already gives what it saw as `seen`. Returns the changes written. Throws the last ToolError, or code 11
 * when another process kept the xtables lock; nothing is written of `nat` then.
 */
export function applyTables(family: Family, { plan, look }: Planning, seen?: Tables): Changes {
  let tables = seen;
  for (let attempt = 1; ; attempt += 1) {
    const changes = plan(tables);
    const refusal = tryRestore(family, changes);
    if (refusal === undefined) return changes;
    if (attempt === MAX_ATTEMPTS) throw refusal;
    const now = look();
    // The same refusal of a plan made for exactly this state is no race.
    if (tables !== undefined && isSame(tables, now)) throw refusal;
    tables = now;
  }
}

/** The same beside what this process does meanwhile: the optimistic changes are on their way when this returns. */
export async function applyTablesBeside(family: Family, planning: Planning): Promise<Changes> {
  const changes = planning.plan(undefined);
  const refusal = await tryRestoreBeside(family, changes);
  return refusal === undefined ? changes : applyTables(family, planning, planning.look());
}

/** Without a table the lines that suppose the usual state. */
export type NatPlan = (table: NatTable | undefined) => readonly string[];

/** The same as applyTables() for the nat table alone. */
export function applyNat(family: Family, plan: NatPlan, seen?: NatTable): void {
  applyTables(family, planningOf(family, plan), seen === undefined ? undefined : { nat: seen });
}

/** The same as applyTablesBeside() for the nat table alone. */
export async function applyNatBeside(family: Family, plan: NatPlan): Promise<void> {
  await applyTablesBeside(family, planningOf(family, plan));
}

function planningOf(family: Family, plan: NatPlan): Planning {
  return { plan: (tables) => ({ nat: plan(tables?.nat) }), look: () => ({ nat: saveNat(family) }) };
}

function lockHeld(family: Family, cause: ToolError): CniError {
  return new CniError(
    code.tryAgainLater,
    `cannot change the IPv${family} nat table: another process held the xtables lock for ${LOCK_WAIT_S} s`,
    { details: `"fuser -v /run/xtables.lock" names the holder; ${cause.stderr.trim().split('\n').at(-1)}`, cause },
  );
}

function isSame(one: Tables, two: Tables): boolean {
  const text = ({ nat, raw = new Map() }: Tables) => JSON.stringify([nat, raw].map((table) => [...table].sort(byName)));
  return text(one) === text(two);
}

function byName([one]: readonly [string, unknown], [two]: readonly [string, unknown]): number {
  return one < two ? -1 : 1;
}
