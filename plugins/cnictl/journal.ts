/** `cnictl journal`: the last calls of the plugins on this node, whoever made them. Changes nothing. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { encode } from '../../lib/cni/json.ts';
import { type JournalCall, readJournal } from '../../lib/journal/read.ts';
import type { Answer, Invocation } from './command.ts';
import { type Column, renderColumns } from './table.ts';

type State = 'done' | 'failed' | 'running' | 'killed';

interface Shown extends JournalCall {
  readonly state: State;
}

export async function showJournal({ options }: Invocation): Promise<Answer> {
  const { container = '' } = options;
  const calls = readJournal()
    .filter(({ containerId }) => containerId.startsWith(container))
    .map((call): Shown => ({ ...call, state: stateOf(call) }));
  const text = calls.length === 0 ? 'no calls' : renderColumns(COLUMNS, calls);
  return { json: encode({ calls: calls.map(asJson) }), text };
}

function stateOf({ end, plugin, pid }: JournalCall): State {
  if (end !== undefined) return end.code === 0 ? 'done' : 'failed';
  return isRunning(pid, plugin) ? 'running' : 'killed';
}

/** Process IDs are given again: it has to be one of that name. */
function isRunning(pid: number, plugin: string): boolean {
  try {
    const [name = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return basename(name) === plugin;
  } catch {
    // No such process.
    return false;
  }
}

const COLUMNS: readonly Column<Shown>[] = [
  ['TIME', ({ atMs }) => timeOf(atMs)],
  ['PLUGIN', ({ plugin }) => plugin],
  ['VERB', ({ verb }) => verb],
  ['NETWORK', ({ network }) => network],
  ['CONTAINER', ({ containerId }) => containerId],
  ['INTERFACE', ({ ifname }) => ifname],
  ['MS', ({ end }) => end?.ms.toFixed(1) ?? ''],
  ['CHILDREN', childrenText],
  ['OUTCOME', outcomeText],
];

function timeOf(atMs: number): string {
  return new Date(atMs).toISOString();
}

function childrenText({ end }: Shown): string {
  return (end?.children ?? [])
    .map(({ tool, ms, ending }) => `${tool}${ending === '0' ? '' : ` (${ending})`} ${ms.toFixed(1)}`)
    .join(', ');
}

function outcomeText({ state, end, steps }: Shown): string {
  if (state === 'done') return 'done';
  const where = steps.at(-1)?.what ?? 'its beginning';
  return end === undefined ? `${state} in ${where}` : `error ${end.code}: ${end.msg}`;
}

function asJson({ atMs, end, ...call }: Shown): object {
  return { time: timeOf(atMs), ...call, ...(end === undefined ? {} : { ...end }) };
}
