import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ipamSchema } from '../../../../ipam/host-local/schema.ts';
import { addresses, filesOf, temporaryFolder } from './support.ts';

const readme = readFileSync(new URL('../../../../ipam/host-local/README.md', import.meta.url), 'utf8');

test('README.md lists the keys of ipam', () => {
  const table = readme.split('Keys of `ipam`:')[1]?.split('\n\n')[1] ?? '';
  const cells = table.split('\n').map((row) => row.split('|')[1] ?? '');
  const keys = cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, key]) => key));
  expect(keys.sort()).toEqual(Object.keys(ipamSchema.shape).sort());
});

test("README.md's example leaves the files that it says", async () => {
  const example = JSON.parse(/```json\n(.*?)```/s.exec(readme)?.[1] ?? '') as { ipam: object };
  const dataDir = temporaryFolder();
  expect(await addresses({ dataDir, ipam: example.ipam })).toEqual(['10.1.2.10/24', '2001:db8:1::2/64']);
  const table = readme.split('/var/lib/cni/networks/mynet/`:')[1]?.split('\n\n')[1] ?? '';
  const documented = [...table.matchAll(/^\| `([^`]+)`/gm)].map(([, name]) => name);
  const found = Object.keys(filesOf(dataDir)).map((path) => path.replace('net1/', ''));
  expect(documented.filter((name) => name !== 'lock').sort()).toEqual(found.sort());
});
