/** Markdown tables that are easy to read as text, too. */

/** First the titles, then the rows. Of `numbers`, all but the first column end at the right. */
export function renderTable(rows: readonly (readonly string[])[], kind: 'words' | 'numbers'): string {
  const [titles = [], ...body] = rows;
  const widths = titles.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length), 3));
  const isNumber = (column: number) => kind === 'numbers' && column > 0;
  const pad = (cell: string, column: number) =>
    isNumber(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0);
  const rule = widths.map((width, column) => (isNumber(column) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width)));
  return [titles.map(pad), rule, ...body.map((row) => row.map(pad))].map(line).join('\n');
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
