/** README's table of differences, made of ../interop/differences.ts; `make readme` writes it. */

import { readFileSync, writeFileSync } from 'node:fs';
import { differences } from '../interop/differences.ts';
import { repository } from './plugins.ts';

const readmePath = `${repository}/README.md`;
const HEAD = ['where', 'the reference', 'nodecni'];
const BETWEEN = /(?<=^<!-- differences -->\n\n).*?(?=\n<!-- \/differences -->$)/ms;

export function readReadme(): string {
  return readFileSync(readmePath, 'utf8');
}

/** `readme` with the table as it has to be. Throws when it has no place for it. */
export function withTable(readme: string): string {
  if (!BETWEEN.test(readme)) throw new Error('README.md has no "<!-- differences -->" … "<!-- /differences -->"');
  return readme.replace(BETWEEN, () => renderTable());
}

function renderTable(): string {
  const rows = [
    HEAD,
    ...Object.values(differences).map(({ where, reference, nodecni }) => [where, reference, nodecni]),
  ];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const [head = '', ...body] = rows.map((row) => line(row.map((cell, column) => cell.padEnd(widths[column] ?? 0))));
  return [head, line(widths.map((width) => '-'.repeat(width))), ...body, ''].join('\n');
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

if (process.argv.includes('--write')) writeFileSync(readmePath, withTable(readReadme()));
