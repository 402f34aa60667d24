/** Lines over a common pair of axes as an SVG text that a README can show, on light and on dark pages. */

export interface Plot {
  readonly title: string;
  /** What the axes count. */
  readonly x: string;
  readonly y: string;
  readonly lines: readonly Line[];
}

export interface Line {
  readonly name: string;
  /** Which of the colours; lines of one kind of thing share it. */
  readonly color: number;
  /** Which of the kinds of stroke. */
  readonly dash: number;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const WIDTH = 800;
const HEIGHT = 400;
const FRAME = { left: 60, right: 230, top: 44, bottom: 50 } as const;
const COLORS = ['#0969da', '#8250df', '#1a7f37', '#bc4c00'];
/** `stroke-dasharray`. */
const DASHES = ['none', '7 4', '2 3'];

export function plot({ title, x, y, lines }: Plot): string {
  const xTicks = ticksUpTo(Math.max(...lines.flatMap(({ points }) => points.map(([at]) => at))));
  const yTicks = ticksUpTo(Math.max(...lines.flatMap(({ points }) => points.map(([, value]) => value))));
  const place = placing(xTicks.at(-1) ?? 1, yTicks.at(-1) ?? 1);
  const parts = [
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text({ at: [FRAME.left, 24], size: 16 }, title),
    ...yTicks.flatMap((tick) => grid(place, tick)),
    ...xTicks.map((tick) =>
      text({ at: [place([tick, 0])[0], HEIGHT - FRAME.bottom + 18], anchor: 'middle' }, `${tick}`),
    ),
    text({ at: [(FRAME.left + WIDTH - FRAME.right) / 2, HEIGHT - 10], anchor: 'middle' }, x),
    text({ at: [FRAME.left - 8, FRAME.top - 8], anchor: 'end' }, y),
    ...lines.flatMap((line) => draw(line, place)),
    ...legend(lines),
  ];
  const head = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`;
  return `${[head, ...parts].join('\n')}\n</svg>\n`;
}

type Point = readonly [x: number, y: number];
type Placing = (point: Point) => Point;

function placing(xMax: number, yMax: number): Placing {
  const width = WIDTH - FRAME.left - FRAME.right;
  const height = HEIGHT - FRAME.top - FRAME.bottom;
  return ([x, y]) => [round(FRAME.left + (x / xMax) * width), round(HEIGHT - FRAME.bottom - (y / yMax) * height)];
}

/** From 0 to `max` or a little beyond, in five or so steps of a round number. */
export function ticksUpTo(max: number): number[] {
  const rough = Math.max(max, Number.MIN_VALUE) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.ceil(max / step) + 1 }, (_, index) => round(index * step));
}

function grid(place: Placing, tick: number): string[] {
  const [left, level] = place([0, tick]);
  const line = `<line x1="${left}" y1="${level}" x2="${WIDTH - FRAME.right}" y2="${level}" stroke="#d0d7de"/>`;
  return [line, text({ at: [left - 8, level + 4], anchor: 'end' }, `${tick}`)];
}

function draw(line: Line, place: Placing): string[] {
  const placed = line.points.map(place);
  const dots = placed.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="3" fill="${colorOf(line)}"/>`);
  return [`<polyline points="${placed.join(' ')}" fill="none" ${strokeOf(line)}/>`, ...dots];
}

function legend(lines: readonly Line[]): string[] {
  return lines.flatMap((line, index) => {
    const [x, y] = [WIDTH - FRAME.right + 16, FRAME.top + 8 + index * 20];
    const sample = `<line x1="${x}" y1="${y}" x2="${x + 24}" y2="${y}" ${strokeOf(line)}/>`;
    return [sample, text({ at: [x + 30, y + 4] }, line.name)];
  });
}

function colorOf({ color }: Line): string {
  return COLORS[color % COLORS.length] ?? '#000000';
}

function strokeOf(line: Line): string {
  return `stroke="${colorOf(line)}" stroke-width="2" stroke-dasharray="${DASHES[line.dash % DASHES.length]}"`;
}

function text(
  { at: [x, y], anchor = 'start', size = 12 }: { at: Point; anchor?: string; size?: number },
  words: string,
) {
  const escaped = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-size="${size}" fill="#1f2328">${escaped}</text>`;
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
