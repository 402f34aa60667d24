/** Renders timings for a terminal or a README. */

import type { Timing } from './measure.ts';

export function renderTable(timings: readonly Timing[]): string {
  const rows = timings.map(({ name, medianMs, minMs, ratio }) => [
    name,
    ms(medianMs),
    ms(minMs),
    `${ratio.toFixed(2)}×`,
  ]);
  return renderRows([['what starts', 'median', 'min', 'ratio'], ['---', '---:', '---:', '---:'], ...rows]);
}

export function renderRows(rows: readonly (readonly string[])[]): string {
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
