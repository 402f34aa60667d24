/** Who is collected: only what is of this network and not listed. */

import { describe, expect, test } from 'vitest';
import type { Forwarding } from '../../../../lib/hostports/forwarding.ts';
import { findGarbage, flowsThrough } from '../../../../lib/hostports/gc-plan.ts';
import { planAdd } from '../../../../lib/hostports/plan.ts';
import { dnatChain, rulesOf } from '../../../../lib/hostports/rules.ts';
import { parseNat } from '../../../../lib/iptables/nat.ts';
import { removeChains } from '../../../../lib/iptables/nat-lines.ts';
import { emptyTable, forwarding, listing, mapping, play, type Table } from './fixtures.ts';

function tableWith(...forwardings: readonly Forwarding[]): Table {
  return forwardings.reduce((table, one) => {
    const wanted = rulesOf(one, 4);
    return wanted === undefined ? table : play(table, planAdd(wanted, table, { former: undefined, living: [] }));
  }, emptyTable());
}

const one = forwarding({ containerId: 'one' });
const two = forwarding({ containerId: 'two', targets: { 4: '10.88.0.6/16' }, mappings: [mapping(8081)] });
const elsewhere = forwarding({ network: 'other', containerId: 'three', mappings: [mapping(8082)] });
const validOne = { containerID: 'one', ifname: 'eth0' };

interface Given {
  readonly valid?: readonly { containerID: string; ifname: string }[];
  readonly records?: readonly Forwarding[];
  readonly table?: Table;
}

function garbage({ valid = [], records = [], table = emptyTable() }: Given) {
  return findGarbage({ network: 'test', valid, records, tables: new Map([[4, table]]) });
}

function idsIn({ containers }: { containers: readonly { containerId: string }[] }): string[] {
  return containers.map(({ containerId }) => containerId);
}

describe('findGarbage()', () => {
  test('takes recorded containers that are not listed', () => {
    const found = garbage({ valid: [validOne], records: [one, two, elsewhere] });
    expect(idsIn(found)).toEqual(['two']);
    expect(found.recorded).toEqual([]);
  });

  test('takes containers without a record by the comments of their rules', () => {
    const found = garbage({ valid: [validOne], table: tableWith(one, two, elsewhere) });
    expect(found.containers).toEqual([{ network: 'test', containerId: 'two', chains: [dnatChain(two)] }]);
  });

  test('names a container that has both but once', () => {
    expect(idsIn(garbage({ records: [one], table: tableWith(one) }))).toEqual(['one']);
  });

  test('takes what is in nftables by its record, of the dead and of single interfaces', () => {
    const inNft = (over: Partial<Forwarding>) => forwarding({ backend: 'nftables', ...over });
    const records = [
      inNft({ containerId: 'one' }),
      inNft({ containerId: 'one', ifname: 'net1' }),
      inNft({ containerId: 'two' }),
    ];
    const found = garbage({ valid: [validOne], records });
    expect(found).toEqual({ containers: [], recorded: [records[1], records[2]] });
  });

  test('takes one interface of a container that lives', () => {
    const second = forwarding({ containerId: 'one', ifname: 'net1' });
    const found = garbage({ valid: [validOne], records: [one, second], table: tableWith(one) });
    expect(found.containers).toEqual([]);
    expect(found.recorded).toEqual([second]);
  });

  test('leaves rules without a record alone when another interface of the container lives', () => {
    const valid = [{ containerID: 'one', ifname: 'net7' }];
    expect(garbage({ valid, table: tableWith(one) })).toEqual({ containers: [], recorded: [] });
  });

  test('tells the owner of a cut comment by its chain', () => {
    const long = { network: 'test', containerId: 'x'.repeat(240) };
    const cut = tableWith(forwarding({ ...long }));
    expect(listing(cut).join()).not.toContain(`${long.containerId}\\"`);
    expect(garbage({ valid: [{ containerID: long.containerId, ifname: 'eth0' }], table: cut }).containers).toEqual([]);
    expect(garbage({ records: [forwarding(long)], table: cut }).containers).toHaveLength(1);
    expect(garbage({ table: cut }).containers).toMatchObject([{ chains: [dnatChain(long)] }]);
  });

  test('takes nothing for rules of others that carry such a comment', () => {
    const text = `:CNI-HOSTPORT-DNAT - [0:0]
:MINE - [0:0]
-A CNI-HOSTPORT-DNAT -m comment --comment "dnat name: \\"test\\" id: \\"two\\"" -j MINE
-A CNI-HOSTPORT-DNAT -p tcp -j RETURN`;
    expect(garbage({ table: parseNat(text) as Table }).containers).toEqual([]);
  });

  test('what goes leaves the others as they were', () => {
    const table = tableWith(one, two, elsewhere);
    const chains = garbage({ valid: [validOne], table }).containers.flatMap((container) => container.chains);
    expect(listing(play(table, removeChains(chains, table)))).toEqual(listing(tableWith(one, elsewhere)));
  });
});

test('flowsThrough() names the datagrams that a chain forwards', () => {
  const udp = forwarding({
    mappings: [mapping(8080), mapping(53, { protocol: 'udp' }), mapping(54, { protocol: 'udp', hostIp: '192.0.2.1' })],
  });
  expect(flowsThrough([dnatChain(udp), 'CNI-DN-absent'], tableWith(udp), 4)).toEqual([
    { family: 4, hostPort: 53, hostIp: undefined, answeredBy: '10.88.0.5' },
    { family: 4, hostPort: 54, hostIp: '192.0.2.1', answeredBy: '10.88.0.5' },
  ]);
});
