import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { portmapSchema } from '../../../../lib/hostports/schema.ts';

const readme = readFileSync(resolve(import.meta.dirname, '../../../../plugins/portmap/README.md'), 'utf8');

test('README.md lists every key of the configuration, and no other', () => {
  const table = /^## Options\n\n(.*?)\n\n/ms.exec(readme)?.[1] ?? '';
  const keys = [...table.matchAll(/^\| `(\w+)/gm)].map(([, key]) => key);
  expect(keys.sort()).toEqual(Object.keys(portmapSchema.shape).sort());
});
