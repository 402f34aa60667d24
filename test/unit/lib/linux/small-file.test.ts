import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { posix } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { readSmallFile } from '../../../../lib/linux/small-file.ts';

let folder = '';

beforeEach(() => {
  const made = mkdtempSync(posix.join(tmpdir(), 'nodecni-small-file-'));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  folder = made;
});

const plain = { maxBytes: 4, follow: false };

test('readSmallFile() reads up to the limit and nothing larger', () => {
  writeFileSync(`${folder}/x`, 'four');
  expect(readSmallFile(`${folder}/x`, plain)).toBe('four');
  expect(readSmallFile(`${folder}/x`, { ...plain, maxBytes: 3 })).toBeUndefined();
});

test('readSmallFile() follows a link only when told to', () => {
  writeFileSync(`${folder}/x`, 'four');
  symlinkSync('x', `${folder}/link`);
  expect(readSmallFile(`${folder}/link`, { ...plain, follow: true })).toBe('four');
  expect(() => readSmallFile(`${folder}/link`, plain)).toThrow('ELOOP');
});

test('readSmallFile() reads no folder and no device, and does not wait at a FIFO', () => {
  execFileSync('mkfifo', [`${folder}/fifo`]);
  const read = (path: string) => readSmallFile(path, plain);
  expect([folder, '/dev/zero', `${folder}/fifo`].map(read)).toEqual([undefined, undefined, undefined]);
});
