/** The plot: round ticks, and points where they belong. */

import { expect, test } from 'vitest';
import { plot, ticksUpTo } from '../../bench/plot.ts';

test.each([
  { max: 400, ticks: [0, 100, 200, 300, 400] },
  { max: 20_000, ticks: [0, 5000, 10_000, 15_000, 20_000] },
  { max: 187.3, ticks: [0, 50, 100, 150, 200] },
  { max: 0.3, ticks: [0, 0.1, 0.2, 0.3] },
])('ticksUpTo($max) is $ticks', ({ max, ticks }) => {
  expect(ticksUpTo(max)).toEqual(ticks);
});

test('plot() puts the origin at the lower left and the largest values at the upper right', () => {
  const lines = [
    { name: 'a & b', color: 0, dash: 0, points: [[0, 0] as const, [10, 50] as const] },
    { name: 'c', color: 1, dash: 1, points: [[0, 25] as const] },
  ];
  const svg = plot({ title: '<title>', x: 'pods', y: 'ms', lines });
  expect(svg).toContain(
    '<polyline points="60,350 570,44" fill="none" stroke="#0969da" stroke-width="2" stroke-dasharray="none"/>',
  );
  expect(svg).toContain('<circle cx="60" cy="197" r="3" fill="#8250df"/>');
  expect(svg).toContain('>a &amp; b</text>');
  expect(svg).toContain('>&lt;title></text>');
});
