/**
 * `make bench`: nodecni beside the bare runtime and the reference, all sides taken turn by turn in one run. Runs in the
 * private namespaces of the tests, and keeps what it found in ./results.
 */

import { parseArgs } from 'node:util';
import { renderTable } from '../support/markdown.ts';
import { describeRun, renderRun } from './machine.ts';
import type { BenchOptions, Section } from './part.ts';
import {
  measurePart,
  mergeResults,
  type PartName,
  partNames,
  type Results,
  renderResults,
  sectionsOf,
} from './results.ts';
import { targetsSection } from './targets.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '16' },
    only: { type: 'string', default: partNames.join(',') },
  },
});

await bench(values.only.split(',').map(partNamed), { rounds: Number(values.rounds) });

/** Each part is printed as soon as it is there: all of them take some ten minutes. */
async function bench(names: readonly PartName[], options: BenchOptions): Promise<void> {
  const run = describeRun(`make bench BENCH='${process.argv.slice(2).join(' ')}'`.replace(" BENCH=''", ''));
  if (!values.json) say(renderRun(run));
  let results: Results = {};
  for (const name of names) {
    results = { ...results, [name]: await measurePart(name, run, options) };
    mergeResults(results);
    if (!values.json) for (const section of sectionsOf(results, name)) say(render(section));
    if (!values.json) say(`(${name}: ${results[name]?.seconds.toFixed(0)} s)`);
  }
  say(values.json ? renderResults(results) : render(targetsSection(results)));
}

function partNamed(name: string): PartName {
  const found = partNames.find((known) => known === name);
  if (found === undefined) throw new Error(`no part ${name}: known are ${partNames.join(', ')}`);
  return found;
}

function render({ heading, rows, note }: Section): string {
  return `\n### ${heading}\n\n${renderTable(rows, 'numbers')}\n\n${note}`;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
