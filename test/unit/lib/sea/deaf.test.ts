import { expect, test } from 'vitest';
import { deafTo, makeDeaf } from '../../../../lib/sea/deaf.ts';

const image = (...names: readonly string[]) =>
  Buffer.from(`x\0${names.map((name) => `${name}\0`).join('')}y`, 'latin1');

test('makeDeaf() makes each name one that cannot be set, and changes nothing else', () => {
  const deaf = deafTo.map((name) => `=${name.slice(1)}`);
  const runtime = image(...deafTo, 'NODE_OTHER', ...deafTo);
  makeDeaf(runtime);
  expect(runtime).toEqual(image(...deaf, 'NODE_OTHER', ...deaf));
});

test('makeDeaf() refuses an image that lacks a name', () => {
  expect(() => makeDeaf(image(...deafTo.slice(1)))).toThrow(`${deafTo[0]}: its image lacks that string`);
});
