/** What marks an executable as ours is read back, and nothing else is taken for it. */

import { expect, test } from 'vitest';
import { readTrailer, trailerLength, trailerOf } from '../../../../lib/sea/trailer.ts';

const id = '0123456789abcdef0123456789abcdef';

test('readTrailer() reads what trailerOf() wrote', () => {
  expect(trailerOf(id)).toHaveLength(trailerLength);
  expect(readTrailer(trailerOf(id))).toBe(id);
});

test.each([
  { what: 'an empty file', tail: '' },
  { what: 'another executable', tail: '\0'.repeat(trailerLength) },
  { what: 'a mark without an id', tail: `nodecni-build-id${'?'.repeat(32)}` },
  { what: 'a mark that ends too early', tail: trailerOf(id).slice(0, -1) },
])('readTrailer() finds no build id in $what', ({ tail }) => {
  expect(readTrailer(tail)).toBeUndefined();
});

test.each(['', 'source', `${id}0`, id.toUpperCase()])('trailerOf() refuses "%s"', (bad) => {
  expect(() => trailerOf(bad)).toThrow(RangeError);
});
