/** The arithmetic that published numbers rest on. */

import { expect, test } from 'vitest';
import { interleave, quantile, timeOnce } from '../../bench/measure.ts';

test.each([
  { values: [3, 1, 2], share: 0.5, expected: 2 },
  { values: [4, 1, 10, 2], share: 0.5, expected: 3 },
  { values: [100, 9], share: 0.5, expected: 54.5 },
  { values: [5], share: 0.99, expected: 5 },
  { values: [0, 10, 20, 30, 40], share: 0.9, expected: 36 },
  { values: [3, 1, 2], share: 1, expected: 3 },
])('quantile() of $values at $share is $expected', ({ values, share, expected }) => {
  expect(quantile(values, share)).toBeCloseTo(expected);
});

test('timeOnce() does not time a process that fails', () => {
  const failing = { path: '/bin/sh', args: ['-c', 'exit 3'], env: {} };
  expect(() => timeOnce('sh', failing)).toThrow('cannot time sh: status 3');
});

test('interleave() takes turns, also at being the first, and its first rounds do not count', () => {
  const turns: string[] = [];
  const timings = interleave(['own', 'other'], { rounds: 3, warmUp: 1 }, (name) => {
    turns.push(name);
    return { ADD: turns.length, DEL: 10 };
  });
  expect(turns).toEqual(['own', 'other', 'other', 'own', 'own', 'other', 'other', 'own']);
  expect(timings.get('own')).toEqual({ ADD: { medianMs: 5, minMs: 4 }, DEL: { medianMs: 10, minMs: 10 } });
});
