/** The one piece of arithmetic that published numbers rest on. */

import { expect, test } from 'vitest';
import { measure, median } from '../../bench/measure.ts';

test.each([
  { values: [3, 1, 2], expected: 2 },
  { values: [4, 1, 10, 2], expected: 3 },
  { values: [100, 9], expected: 54.5 },
])('median() of $values is $expected', ({ values, expected }) => {
  expect(median(values)).toBe(expected);
});

test('measure() does not time a process that fails', () => {
  const failing = { name: 'sh', path: '/bin/sh', args: ['-c', 'exit 3'], env: {}, input: '' };
  expect(() => measure([failing], 1)).toThrow('cannot time sh: exit code 3');
});
