/** README's measured numbers: a selection of test/bench/results/bench.json. */

import { renderRun } from '../bench/machine.ts';
import type { Section } from '../bench/part.ts';
import { partNames, type Results, sectionsOf } from '../bench/results.ts';
import { targetsSection } from '../bench/targets.ts';
import { renderTable } from './markdown.ts';

/** What is shown, by heading, and of long tables which rows, by their first cell. */
const shown: Readonly<Record<string, readonly string[] | 'all'>> = {
  Start: 'all',
  'The chain': [
    'iptables, IPv4, no port',
    'iptables, IPv4, 1 port',
    'iptables, IPv4, 20 ports',
    'iptables, dual stack, 1 port',
    'nftables, IPv4, 1 port',
  ],
  'A node that fills': ['0', '100', '400'],
  'A folder of leases that fills': ['0', '1000', '20000'],
  Storm: ['24 pods, 8 at a time', '100 pods, 32 at a time'],
  Memory: 'all',
};

/** Throws when the bench has not measured what is to be shown. */
export function renderMeasured(results: Results): string {
  const sections = partNames.flatMap((name) => sectionsOf(results, name));
  const selected = Object.entries(shown).map(([heading, rows]) => {
    const section = sections.find((one) => one.heading === heading);
    if (section === undefined) throw new Error(`bench.json has no "${heading}": run make bench`);
    return select(section, rows);
  });
  return [runsOf(results), ...[...selected, targetsSection(results)].map(render)].join('\n');
}

function select(section: Section, wanted: readonly string[] | 'all'): Section {
  const [titles = [], ...rows] = section.rows;
  if (wanted === 'all') return section;
  return { ...section, rows: [titles, ...rows.filter(([first = '']) => wanted.includes(first))] };
}

/** One line for each run that parts are from. */
function runsOf(results: Results): string {
  const byRun = Map.groupBy(partNames, (name) => {
    const run = results[name]?.run;
    return run === undefined ? '' : renderRun(run);
  });
  return [...byRun].map(([run, names]) => (byRun.size === 1 ? `${run}\n` : `${names.join(', ')}: ${run}\n`)).join('\n');
}

function render({ heading, rows, note, plot }: Section): string {
  const picture = plot === undefined ? '' : `\n![${heading}](${plot.path})\n`;
  return `### ${heading}\n\n${note}\n\n${renderTable(rows, 'numbers')}\n${picture}`;
}
