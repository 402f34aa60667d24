/** Sides beside one another: each is held against the reference, wherever that stands. */

import { expect, test } from 'vitest';
import { cellsOf, compareVerbs } from '../../bench/compare.ts';

const timings = new Map([
  [{ name: 'nodecni' as const }, { ADD: { medianMs: 30, minMs: 28 }, DEL: { medianMs: 50, minMs: 45 } }],
  [{ name: 'nodecni, sets' as const }, { ADD: { medianMs: 80, minMs: 70 }, DEL: { medianMs: 25, minMs: 25 } }],
  [{ name: 'reference' as const }, { ADD: { medianMs: 40, minMs: 20 }, DEL: { medianMs: 100, minMs: 99 } }],
]);

test('compareVerbs() makes a row of each verb, with ratios of medians', () => {
  expect(compareVerbs(timings)).toEqual([
    {
      verb: 'ADD',
      sides: {
        nodecni: { medianMs: 30, minMs: 28, ratio: 0.75 },
        'nodecni, sets': { medianMs: 80, minMs: 70, ratio: 2 },
        reference: { medianMs: 40, minMs: 20, ratio: 1 },
      },
    },
    {
      verb: 'DEL',
      sides: {
        nodecni: { medianMs: 50, minMs: 45, ratio: 0.5 },
        'nodecni, sets': { medianMs: 25, minMs: 25, ratio: 0.25 },
        reference: { medianMs: 100, minMs: 99, ratio: 1 },
      },
    },
  ]);
});

test('cellsOf() shows median, min and ratio, but for the reference itself', () => {
  const [add] = compareVerbs(timings);
  expect(cellsOf(add?.sides ?? {})).toEqual(['30.0 ms (28.0), 0.75×', '80.0 ms (70.0), 2.00×', '40.0 ms (20.0)']);
});
