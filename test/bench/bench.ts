/**
 * `make bench`: nodecni beside the bare runtime and the reference, both sides taken turn by turn in one run. Runs in the
 * private namespaces of the tests.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { chainSections } from './chain.ts';
import { childrenSections } from './children.ts';
import { growthSections } from './growth.ts';
import { describeMachine, renderMachine } from './machine.ts';
import { memorySections } from './memory.ts';
import type { BenchOptions, Section } from './section.ts';
import { startSections } from './start.ts';
import { stormSections } from './storm.ts';
import { renderRows } from './table.ts';

type Part = (options: BenchOptions) => Promise<readonly Section[]>;

const parts: Readonly<Record<string, Part>> = {
  start: startSections,
  memory: memorySections,
  chain: chainSections,
  growth: growthSections,
  storm: stormSections,
  children: childrenSections,
};

const PLOT_FOLDER = 'test/bench/results';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '20' },
    only: { type: 'string', default: Object.keys(parts).join(',') },
  },
});

await bench(values.only.split(','), { rounds: Number(values.rounds) });

/** Each part is printed as soon as it is there: all of them take some ten minutes. */
async function bench(names: readonly string[], options: BenchOptions): Promise<void> {
  const unknown = names.filter((name) => parts[name] === undefined);
  if (unknown.length > 0) throw new Error(`no part ${unknown.join(', ')}: known are ${Object.keys(parts).join(', ')}`);
  const machine = describeMachine();
  const command = `make bench BENCH='${process.argv.slice(2).join(' ')}'`.replace(" BENCH=''", '');
  const data: Record<string, unknown> = { ...machine, command };
  if (!values.json) say(`${renderMachine(machine)}\n${command}`);
  for (const name of names) {
    const sections = (await parts[name]?.(options)) ?? [];
    data[name] = Object.fromEntries(sections.map((section) => [section.heading, section.data]));
    for (const { plots = {} } of sections) writePlots(plots);
    if (!values.json) for (const section of sections) say(render(section));
  }
  if (values.json) say(JSON.stringify(data, undefined, 2));
}

function render({ heading, rows, note }: Section): string {
  return `\n### ${heading}\n\n${renderRows(rows)}\n\n${note}`;
}

function writePlots(plots: Readonly<Record<string, string>>): void {
  mkdirSync(PLOT_FOLDER, { recursive: true });
  for (const [file, text] of Object.entries(plots)) writeFileSync(`${PLOT_FOLDER}/${file}`, text);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
