/** Bytes are counted for the package that a file belongs to. */

import { expect, test } from 'vitest';
import { packageFolderOf, renderReport, sharesOf } from '../../../../lib/sea/report.ts';

test.each([
  { path: 'node_modules/zod/v4/mini/index.js', name: 'zod', folder: 'node_modules/zod' },
  { path: 'node_modules/@scope/one/a/b.js', name: '@scope/one', folder: 'node_modules/@scope/one' },
  { path: 'node_modules/a/node_modules/b/i.js', name: 'b', folder: 'node_modules/a/node_modules/b' },
])('packageFolderOf() finds $name in $path', ({ path, name, folder }) => {
  expect(packageFolderOf(path)).toEqual({ name, folder });
});

test('packageFolderOf() finds no package for our own files', () => {
  expect(packageFolderOf('lib/cni/errors.ts')).toBeUndefined();
});

test('sharesOf() adds up per package, biggest first, and renderReport() ends with the total', () => {
  const inputs = {
    'node_modules/zod/a.js': { bytesInOutput: 300 },
    'node_modules/zod/b.js': { bytesInOutput: 50 },
    'plugins/main.ts': { bytesInOutput: 10 },
    'lib/exec.ts': { bytesInOutput: 1000 },
  };
  const output = { bytes: 1400, inputs, imports: [], exports: [] };
  const shares = sharesOf({ inputs: {}, outputs: { 'main.cjs': output } });
  expect(shares).toEqual([
    { name: 'nodecni', bytes: 1010 },
    { name: 'zod', bytes: 350 },
  ]);
  expect(
    renderReport(shares)
      .split('\n')
      .map((line) => line.split(/ +/)),
  ).toEqual([['nodecni', '1010'], ['zod', '350'], ['total', '1360'], ['']]);
});
