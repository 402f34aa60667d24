/** Renders measurements for a terminal or a README. */

/** A Markdown table; all but the first column are numbers. */
export function renderRows([titles = [], ...rows]: readonly (readonly string[])[]): string {
  const rule = titles.map((_, index) => (index === 0 ? '---' : '---:'));
  return [titles, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

export function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

export function ratio(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? '' : `${value.toFixed(2)}×`;
}
