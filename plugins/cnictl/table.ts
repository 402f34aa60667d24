/** Attachments and other things for people: a table with a line each. */
import type { Entry } from './entry.ts';
import { portText } from './render.ts';

/** What stands above a column, and what of an item stands in it. */
export type Column<T> = readonly [title: string, cell: (item: T) => string];

const COLUMNS: readonly Column<Entry>[] = [
  ['ADDRESS', ({ addresses }) => addresses.join(', ')],
  ['NETWORK', ({ network }) => network],
  ['CONTAINER', ({ containerId }) => containerId],
  ['POD', ({ pod }) => (pod === undefined ? '' : `${pod.namespace}/${pod.name}`)],
  ['INTERFACE', ({ ifname }) => ifname],
  ['HOST PORTS', ({ hostPorts }) => hostPorts.map(portText).join(', ')],
  ['AGE', ({ ageSeconds }) => ageText(ageSeconds)],
  ['STATE', ({ verdict }) => verdict],
  ['WHY', ({ why }) => why],
];

/** A heading, then a line for each of `entries`. Container IDs are whole: they are what `release` is told. */
export function renderTable(entries: readonly Entry[]): string {
  return renderColumns(COLUMNS, entries);
}

export function renderColumns<T>(columns: readonly Column<T>[], items: readonly T[]): string {
  const rows = [columns.map(([title]) => title), ...items.map((item) => columns.map(([, cell]) => shown(cell(item))))];
  const widths = columns.map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((text, index) => text.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Pods name themselves, and a terminal obeys control characters. Nothing is shown as `-`, for awk. */
function shown(text: string): string {
  return text === '' ? '-' : printable(text);
}

/** `text` with `?` for each control character. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, '?');
}

const UNITS = [
  ['d', 86_400],
  ['h', 3600],
  ['m', 60],
  ['s', 1],
] as const;

/** The two largest units: `3d4h`, `12m`, `40s`. */
export function ageText(seconds: number): string {
  const at = UNITS.findIndex(([, length]) => seconds >= length);
  if (at === -1) return '0s';
  let rest = seconds;
  const parts = UNITS.slice(at, at + 2).map(([unit, length]) => {
    const count = Math.floor(rest / length);
    rest -= count * length;
    return count === 0 ? '' : `${count}${unit}`;
  });
  return parts.join('');
}
