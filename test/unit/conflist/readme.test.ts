/** conflist/: every file loads and the README explains it; its table of who reaches whom is what the tests measure. */

import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadNetwork } from '../../../lib/libcni/conf-dir.ts';
import { parseNetwork } from '../../../lib/libcni/network.ts';
import { SHIPPED, type ShippedNetwork } from '../../support/conflists.ts';
import type { Connection, Outcome } from '../../support/reach.ts';

const folder = resolve(import.meta.dirname, '../../../conflist');
const readme = readFileSync(`${folder}/README.md`, 'utf8');
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.conflist'))
  .sort();

/** Rows of all tables, cells trimmed. */
const rows = readme
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

describe.each(files)('%s', (file) => {
  const chapter = file.replace('.conflist', '');

  test('loads, of the newest version or verbatim', () => {
    const { cniVersion } = parseNetwork(readFileSync(`${folder}/${file}`, 'utf8'));
    expect(cniVersion).toBe(file.endsWith('flannel.conflist') ? '' : '1.1.0');
  });

  test('is in the first table, and has a chapter with a picture', () => {
    expect(rows).toContainEqual([expect.any(String), `[${file}](${file})`, `\`${read(file).name}\``]);
    expect(readme).toMatch(new RegExp(`^## ${chapter}\n[^#]*^\`\`\`\n`, 'm'));
  });

  test('has bridge and subnets to itself, so that all of them can be used at once', () => {
    const taken = new Set(files.filter((other) => other !== file).flatMap(ownedBy));
    expect(ownedBy(file).filter((name) => taken.has(name))).toEqual([]);
  });
});

test('each has a name of its own; of the two for flannel, which have one on purpose, the classic one is found', () => {
  const byName = Map.groupBy(files, (file) => read(file).name);
  const shared = [...byName].filter(([, group]) => group.length > 1);
  expect(shared).toEqual([['cbr0', ['10-flannel.conflist', '30-fast-flannel.conflist']]]);
  expect(loadNetwork(folder, 'cbr0').plugins.map(({ type }) => type)).toEqual(['flannel', 'portmap']);
});

interface Conflist {
  readonly name: string;
  readonly plugins: readonly {
    readonly bridge?: string;
    readonly ipam?: { readonly ranges: readonly (readonly { readonly subnet: string }[])[] };
  }[];
}

function read(file: string): Conflist {
  return JSON.parse(readFileSync(`${folder}/${file}`, 'utf8')) as Conflist;
}

/** Bridges and subnets. */
function ownedBy(file: string): string[] {
  const { plugins } = read(file);
  const subnets = plugins.flatMap(({ ipam }) => ipam?.ranges.flat().map(({ subnet }) => subnet) ?? []);
  return [...plugins.flatMap(({ bridge }) => bridge ?? []), ...subnets];
}

test('the table of who reaches whom is the one that is measured', () => {
  const columns = Map.groupBy(SHIPPED, ({ reach, withoutBridgeNetfilter }) =>
    JSON.stringify([reach, withoutBridgeNetfilter]),
  );
  const groups = [...columns.values()];
  const first = (group: readonly ShippedNetwork[]) => group.map(({ file }) => file.slice(0, 2)).join(', ');
  const at = rows.findIndex(([cell]) => cell === 'file');
  const connections = Object.keys(SHIPPED[0]?.reach ?? {}) as Connection[];
  expect(rows.slice(at, at + 2 + connections.length).filter(([cell]) => !/^-+$/.test(cell ?? ''))).toEqual([
    ['file', ...groups.map(first)],
    ...connections.map((connection) => [connection, ...groups.map(([network]) => cellOf(network, connection))]),
  ]);
});

const SYMBOL: Readonly<Record<Outcome, string>> = { yes: '✓', no: '–', 'as node': 'as node' };

/** With the mark of the note on bridged packets, where they make a difference. */
function cellOf(network: ShippedNetwork | undefined, connection: Connection): string {
  if (network === undefined) return '';
  const { reach, withoutBridgeNetfilter = {} } = network;
  return `${SYMBOL[reach[connection]]}${withoutBridgeNetfilter[connection] === undefined ? '' : ' ¹'}`;
}
