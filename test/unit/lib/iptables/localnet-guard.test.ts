/** The guard of 127.0.0.0/8, played on a model of the table `raw`. */

import { expect, test } from 'vitest';
import { type GuardChange, planGuard } from '../../../../lib/iptables/localnet-guard.ts';
import { emptyTable, listing, play, type Table } from '../hostports/fixtures.ts';

const guarded = [
  ':PREROUTING',
  'PREROUTING ! -i lo -j CNI-LOCALNET-GUARD',
  'PREROUTING -j somebody',
  ':CNI-LOCALNET-GUARD',
  'CNI-LOCALNET-GUARD -d 127.0.0.0/8 -j DROP',
  'CNI-LOCALNET-GUARD -s 127.0.0.0/8 -j DROP',
];

function rawTable(): Table {
  return new Map([['PREROUTING', ['-j somebody']]]);
}

function plan(change: GuardChange, raw: Table | undefined): readonly string[] {
  return planGuard(change, raw === undefined ? undefined : { nat: emptyTable(), raw }) ?? [];
}

test.each(['make', 'expect'] as const)('%s: before everything else, and once', (change) => {
  const table = play(rawTable(), plan(change, rawTable()));
  expect(listing(table)).toEqual(guarded);
  expect(plan(change, table)).toEqual([]);
});

test('supposes the usual state where nobody looked', () => {
  const table = play(rawTable(), plan('make', undefined));
  expect(listing(table)).toEqual(guarded);
  expect(listing(play(table, plan('expect', undefined)))).toEqual(guarded);
  expect(listing(play(table, plan('remove', undefined)))).toEqual(listing(rawTable()));
  expect(() => play(rawTable(), plan('expect', undefined))).toThrow('no such rule');
  expect(() => play(table, plan('make', undefined))).toThrow('chain exists');
});

test('repairs what was damaged, and takes away what is left', () => {
  const table = play(rawTable(), plan('make', undefined));
  table.get('CNI-LOCALNET-GUARD')?.pop();
  expect(listing(play(table, plan('expect', table)))).toEqual(guarded);
  expect(listing(play(table, plan('remove', table)))).toEqual(listing(rawTable()));
  expect(plan('remove', rawTable())).toEqual([]);
});

test('a kernel without the table has no guard', () => {
  expect(planGuard('make', { nat: emptyTable() })).toBeUndefined();
});
