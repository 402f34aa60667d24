/** Installing into a folder in use: one inode under all names but flannel, others' files untouched, no drafts left. */

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { executableNames, namesOfOwnFile } from '../../../../lib/sea/names.ts';
import { place } from '../../../../lib/sea/place.ts';

let root: string;
let target: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'place-'));
  target = join(root, 'opt/cni/bin');
});

afterEach(() => rmSync(root, { recursive: true }));

const shared = executableNames.filter((name) => !namesOfOwnFile.includes(name));

test('place() installs all names as one executable file and leaves other plugins alone', () => {
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, 'firewall'), 'go');
  writeFileSync(join(target, 'bridge'), 'go');
  placeVersion('new');
  expect(readdirSync(target).sort()).toEqual(['.nodecni-lib', ...executableNames, 'firewall'].sort());
  expect(readFileSync(join(target, 'firewall'), 'utf8')).toBe('go');
  expect(readFileSync(join(target, 'cnictl'), 'utf8')).toBe('new');
  const bridge = statSync(join(target, 'bridge'));
  expect({ mode: bridge.mode & 0o777, links: bridge.nlink }).toEqual({ mode: 0o755, links: shared.length });
  expect(readdirSync(join(target, '.nodecni-lib')).sort()).toEqual(['NOTICES', 'set1']);
  expect(readdirSync(join(target, '.nodecni-lib/set1'))).toEqual(['libx.so.1']);
});

test('place() leaves a set of libraries alone that is there already: somebody may be loading it', () => {
  placeVersion('old');
  placeVersion('new');
  expect(readFileSync(join(target, '.nodecni-lib/set1/libx.so.1'), 'utf8')).toBe('old');
  expect(readFileSync(join(target, '.nodecni-lib/NOTICES'), 'utf8')).toBe('new');
});

test('place() replaces an older version by a new inode, since a running one cannot be written to', () => {
  placeVersion('old');
  const before = statSync(join(target, 'bridge')).ino;
  placeVersion('new');
  const inodes = new Set(shared.map((name) => statSync(join(target, name)).ino));
  expect(inodes.size).toBe(1);
  expect(inodes).not.toContain(before);
});

test('place() survives what kube-flannel does: it writes its own flannel into the file that is there', () => {
  placeVersion('ours');
  writeFileSync(join(target, 'flannel'), 'the original');
  for (const name of shared) expect(readFileSync(join(target, name), 'utf8')).toBe('ours');
  placeVersion('ours');
  expect(readFileSync(join(target, 'flannel'), 'utf8')).toBe('ours');
});

function placeVersion(content: string): void {
  const executable = join(root, 'built');
  const library = join(root, 'libx.so.1.2');
  const notices = join(root, 'NOTICES');
  for (const [path, text] of [
    [executable, content],
    [library, content],
    [notices, content],
  ] as const)
    writeFileSync(path, text);
  place(
    { executable, libraries: [{ id: 'set1', files: [{ name: 'libx.so.1', path: library }] }], notices: [notices] },
    target,
  );
}
