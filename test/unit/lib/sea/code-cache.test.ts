/** Pruning keeps exactly what is asked for, byte by byte, and refuses a snapshot of another layout. */

import { expect, test } from 'vitest';
import { findCodeCache, pruneCodeCache } from '../../../../lib/sea/code-cache.ts';
import { block, number64 } from './layout.ts';

const heap = Buffer.from('heap, then something that looks like a count: \x80\0\0\0\0\0\0\0 but is none', 'latin1');
const ids = Array.from({ length: 120 }, (_, index) => `internal/module-${index}`);
const snapshot = Buffer.concat([heap, codeCache(ids)]);

test('findCodeCache() finds the list after the heap', () => {
  const { start, entries } = findCodeCache(snapshot);
  expect(start).toBe(heap.length);
  expect(entries.map(({ id }) => id)).toEqual(ids);
});

test('pruneCodeCache() keeps the heap and the wanted entries', () => {
  const kept = ['internal/module-3', 'internal/module-119'];
  expect(pruneCodeCache(snapshot, new Set(kept))).toEqual(Buffer.concat([heap, codeCache(kept)]));
});

test('pruneCodeCache() refuses when a wanted module has no entry', () => {
  const keep = new Set(['internal/module-3', 'ffi']);
  expect(() => pruneCodeCache(snapshot, keep)).toThrow('it has only internal/module-3');
});

test.each([
  { what: 'bytes after the list', layout: Buffer.concat([snapshot, Buffer.alloc(4)]) },
  { what: 'a list cut short', layout: snapshot.subarray(0, -1) },
  { what: 'too few entries', layout: Buffer.concat([heap, codeCache(ids.slice(0, 50))]) },
  { what: 'an id that is none', layout: Buffer.concat([heap, codeCache([...ids, 'not an id'])]) },
  { what: 'nothing at all', layout: Buffer.alloc(0) },
])('pruneCodeCache() refuses $what', ({ layout }) => {
  expect(() => pruneCodeCache(layout, new Set(['internal/module-3']))).toThrow('another layout');
});

function codeCache(names: readonly string[]): Buffer {
  const entries = names.flatMap((id) => [block(id), block(`compiled code of ${id}`)]);
  return Buffer.concat([number64(names.length), ...entries]);
}
