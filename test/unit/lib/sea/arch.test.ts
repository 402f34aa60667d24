/** The run path: the host's libraries before ours, and only folders of the right processor. */

import { expect, test } from 'vitest';
import { archOf, runPathOf } from '../../../../lib/sea/arch.ts';
import { debianPackages } from '../../../../lib/sea/debian-packages.ts';

test.each([
  { name: 'x64', multiarch: 'x86_64-linux-gnu' },
  { name: 'arm64', multiarch: 'aarch64-linux-gnu' },
])('runPathOf() searches the system first and our copies last on $name', ({ name, multiarch }) => {
  expect(runPathOf(archOf(name), '0123456789abcdef').split(':')).toEqual([
    `/lib/${multiarch}`,
    `/usr/lib/${multiarch}`,
    '/lib64',
    '/usr/lib64',
    '/lib',
    '/usr/lib',
    '$ORIGIN/.nodecni-lib/0123456789abcdef',
  ]);
});

test('archOf() refuses a processor that is not known', () => {
  expect(() => archOf('riscv64')).toThrow('cannot build for processor "riscv64"');
});

test.each(['x64', 'arm64'])('the package table has all four packages of %s, each with a sum of its own', (name) => {
  const { debian } = archOf(name);
  const packages = debianPackages[debian];
  expect(packages.map(({ file }) => file.split('_')[0])).toEqual([
    'libatomic1',
    'libstdc++6',
    'libgcc-s1',
    'gcc-10-base',
  ]);
  expect(packages.every(({ file }) => file.endsWith(`_${debian}.deb`))).toBe(true);
  expect(new Set(packages.map(({ sha256 }) => sha256)).size).toBe(packages.length);
});
