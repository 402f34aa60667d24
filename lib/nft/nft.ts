/** The nft tool: one table or chain read, one transaction written, and races with others retried. */
import { isObject } from '../cni/json.ts';
import { run, runBeside, ToolError } from '../exec.ts';
import { ruleText } from './rule-text.ts';
import type { NftTable, NftTransaction, RuleRef } from './transaction.ts';

export interface NftRule extends RuleRef {
  /** '' without one. */
  readonly comment: string;
  /** As `nft list` prints it, without the comment: ./rule-text.ts. */
  readonly text: string;
}

export interface NftListing {
  readonly chains: ReadonlySet<string>;
  /** In order, chain by chain. */
  readonly rules: readonly NftRule[];
}

/** The output for a table that is not there. */
const NONE = '{}';

/** Chains and rules of `table`, or of its `chain` alone; none when it is not there. Throws ToolError. */
export function list(table: NftTable, chain?: string): NftListing {
  return parseListing(listText(table, chain));
}

/** The output of `nft --json list`. Throws ToolError. */
export function listText(table: NftTable, chain?: string): string {
  const what = chain === undefined ? ['table', ...table.split(' ')] : ['chain', ...table.split(' '), chain];
  try {
    return run('nft', ['--json', 'list', ...what]);
  } catch (error) {
    if (isAbsent(error) || isUnsupported(error)) return NONE;
    throw error;
  }
}

/** `ip cni_hostport` for each table of this host. Throws ToolError. */
export function listTables(): string[] {
  return objectsIn(run('nft', ['--json', 'list', 'tables'])).flatMap(({ table }) =>
    isObject(table) ? [`${table.family} ${table.name}`] : [],
  );
}

/** Pure: the output of `nft --json list table`. */
export function parseListing(text: string): NftListing {
  const objects = objectsIn(text);
  const chains = objects.flatMap(({ chain }) => (isObject(chain) ? [String(chain.name)] : []));
  const rules = objects.flatMap(({ rule }) => (isObject(rule) ? [rule] : []));
  return {
    chains: new Set(chains),
    rules: rules.map(({ chain, handle, comment = '', expr }) => ({
      chain: String(chain),
      handle: Number(handle),
      comment: String(comment),
      text: ruleText(Array.isArray(expr) ? expr : []),
    })),
  };
}

/** What `nft --json` lists, one after the other, each under its kind. */
export function objectsIn(text: string): { readonly [kind: string]: unknown }[] {
  const parsed: unknown = JSON.parse(text);
  const list = isObject(parsed) && Array.isArray(parsed.nftables) ? parsed.nftables : [];
  return list.filter(isObject);
}

/** The kernel's ENOENT: no such table, chain or handle. */
export function isAbsent(error: unknown): boolean {
  return (
    error instanceof ToolError && error.exitCode !== undefined && error.stderr.includes('No such file or directory')
  );
}

/** A kernel without nf_tables, which has no rules of it either. */
function isUnsupported(error: unknown): boolean {
  const cannot = /cache initialization failed: (Protocol not supported|Invalid argument)|Operation not supported/;
  return error instanceof ToolError && cannot.test(error.stderr);
}

/** How often a plan is made again after another process took away what it names. */
const MAX_ATTEMPTS = 20;

const WRITE = ['-f', '-'];

/** What to write; it is told in which attempt, from 1. */
export type NftPlan = (attempt: number) => readonly NftTransaction[];

export interface Attempting {
  /** Whether the kernel refused since others had changed something; when absent, took away something that is named. */
  readonly isOutdated?: (error: unknown) => boolean;
  /** The first one, when absent 1. */
  readonly attempt?: number;
}

/**
 * Writes what `plan()` says, all or nothing, as one transaction over all its tables. Where it names handles that it has
 * listed, another process may have deleted them meanwhile: then it is asked again. Throws ToolError.
 */
export function applyNft(plan: NftPlan, { isOutdated = isAbsent, attempt: first = 1 }: Attempting = {}): void {
  for (let attempt = first; ; attempt += 1) {
    const script = plan(attempt).join('');
    if (script === '') return;
    try {
      run('nft', WRITE, { input: script });
      return;
    } catch (error) {
      if (!isOutdated(error) || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

/** The same beside what this process does meanwhile: the first transaction is on its way when this returns. */
export async function applyNftBeside(plan: NftPlan, { isOutdated = isAbsent }: Attempting = {}): Promise<void> {
  const script = plan(1).join('');
  if (script === '') return;
  try {
    await runBeside('nft', WRITE, { input: script });
  } catch (error) {
    if (!isOutdated(error)) throw error;
    applyNft(plan, { isOutdated, attempt: 2 });
  }
}
