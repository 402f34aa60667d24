/** What marks an executable as ours is read back, and nothing else is taken for it. */

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readBuildId, readTrailer, trailerLength, trailerOf } from '../../../../lib/sea/trailer.ts';

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

test('readBuildId() reads files, and takes nothing else for one of ours', () => {
  const folder = mkdtempSync(join(tmpdir(), 'trailer-'));
  const path = (name: string) => join(folder, name);
  writeFileSync(path('ours'), `ELF${trailerOf(id)}`);
  writeFileSync(path('short'), 'x');
  symlinkSync('ours', path('link'));
  symlinkSync('nowhere', path('dangling'));
  mkdirSync(path('folder'));
  expect(['ours', 'link'].map((name) => readBuildId(path(name)))).toEqual([id, id]);
  for (const name of ['short', 'dangling', 'folder', 'absent']) expect(readBuildId(path(name))).toBeUndefined();
  rmSync(folder, { recursive: true });
});
