/** The snapshot inside an executable's image shrinks in place, and everything around it stays what it was. */

import { expect, test } from 'vitest';
import { changeSnapshot } from '../../../../lib/sea/resource.ts';
import { block, number32 } from './layout.ts';

const noteName = Buffer.from('NODE_SEA_BLOB\0\0\0', 'latin1');
const before = Buffer.concat([Buffer.from('code that mentions '), noteName, Buffer.from('... ')]);
const after = Buffer.from('sections after the note');

test('changeSnapshot() shrinks the snapshot, moves up what follows and fills with zeros', () => {
  const image = imageWith('a long snapshot');
  const expected = Buffer.from(image);
  const seen: string[] = [];
  changeSnapshot(image, (snapshot) => {
    seen.push(snapshot.toString());
    return Buffer.from('short');
  });
  expect(seen).toEqual(['a long snapshot']);
  const shrunk = Buffer.concat([resourceWith('short'), Buffer.alloc('a long snapshot'.length - 'short'.length)]);
  shrunk.copy(expected, image.length - after.length - shrunk.length);
  expect(image).toEqual(expected);
});

test('changeSnapshot() refuses a larger snapshot and leaves the image alone', () => {
  const image = imageWith('small');
  expect(() => changeSnapshot(image, () => Buffer.from('larger than that'))).toThrow('the new one is larger');
  expect(image).toEqual(imageWith('small'));
});

test('changeSnapshot() refuses an image without the resource', () => {
  expect(() => changeSnapshot(Buffer.concat([before, after]), (snapshot) => snapshot)).toThrow('another layout');
});

test('changeSnapshot() refuses a length that reaches beyond the resource', () => {
  const image = imageWith('snapshot');
  image.writeUInt32LE(0xffff, image.indexOf('snapshot') - 8);
  expect(() => changeSnapshot(image, (snapshot) => snapshot)).toThrow('another layout');
});

function imageWith(snapshot: string): Buffer {
  const resource = resourceWith(snapshot);
  const head = [number32(noteName.length - 2), number32(resource.length), number32(0), noteName];
  return Buffer.concat([before, ...head, resource, after]);
}

function resourceWith(snapshot: string): Buffer {
  const head = [number32(0x0143da20), number32(0x13), Buffer.from([0, 0])];
  return Buffer.concat([...head, block('main.cjs'), block(snapshot), block('--no-warnings')]);
}
