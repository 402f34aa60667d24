/** What goes with the dead and, above all, what stays of the living. */

import { describe, expect, test } from 'vitest';
import { planAdd } from '../../../../lib/hostports/plan.ts';
import { rulesOf } from '../../../../lib/hostports/rules.ts';
import { chainName } from '../../../../lib/iptables/chain-name.ts';
import { parseNat } from '../../../../lib/iptables/nat.ts';
import { type DeadRules, planDeadRemoval } from '../../../../lib/iptables/owned-plan.ts';
import { parseCidr } from '../../../../lib/net/ip.ts';
import { planMasquerade } from '../../../../plugins/bridge/masquerade-iptables.ts';
import { emptyTable, forwarding, listing, mapping, play, type Table } from '../hostports/fixtures.ts';

interface Pod {
  readonly id: string;
  readonly network?: string;
  readonly addresses: readonly string[];
  readonly ports?: readonly number[];
}

/** The table after ADDs by bridge and portmap; each address is that of one interface, with its own ports. */
function tableWith(...pods: readonly Pod[]): Table {
  let table = emptyTable();
  for (const { id, network = 'test', addresses, ports = [] } of pods) {
    for (const [index, address] of addresses.entries()) {
      const cidr = parseCidr(`${address}/${address.includes(':') ? 64 : 16}`);
      if (cidr === undefined) throw new Error(`no address: ${address}`);
      table = play(table, planMasquerade({ network, containerId: id }, [cidr], table));
      const port = ports[index];
      if (port === undefined) continue;
      const targets = { [cidr.ip.family]: `${address}/${cidr.prefix}` };
      const wanted = rulesOf(
        forwarding({ network, containerId: id, ifname: `eth${index}`, targets, mappings: [mapping(port)] }),
        cidr.ip.family,
      );
      if (wanted !== undefined) table = play(table, planAdd(wanted, table, { former: undefined, living: addresses }));
    }
  }
  return table;
}

function without(table: Table, dead: Partial<DeadRules>, family: 4 | 6 = 4): string[] {
  const lines = planDeadRemoval({ addresses: [], owners: [], networks: ['test'], ...dead }, table, family);
  return ownRules(play(table, lines));
}

/** All but what containers share (it is made once and stays), chain by chain: their own order says nothing. */
function ownRules(table: Table): string[] {
  const chainOf = (line: string) => line.replace(/^:/, '').replace(/ .*/, '');
  return listing(table)
    .filter((line) => /CNI-(DN-|SN-)?[0-9a-f]{20}/.test(line))
    .sort((one, two) => chainOf(one).localeCompare(chainOf(two)));
}

function ownersOf(...ids: readonly string[]) {
  return ids.map((containerId) => ({ network: 'test', containerId }));
}

const living: Pod = { id: 'living', addresses: ['10.88.0.9'], ports: [9090] };
const rulesOfLiving = ownRules(tableWith(living));

test('the table of these tests holds what is looked for', () => {
  expect(rulesOfLiving).toHaveLength(2 + 3 + 3 + 1);
});

describe('by owner', () => {
  test('all chains of the container go, with what leads to them', () => {
    const table = tableWith({ id: 'dead', addresses: ['10.88.0.5', '10.88.0.6'], ports: [8080, 8081] }, living);
    expect(without(table, { owners: ownersOf('dead') })).toEqual(rulesOfLiving);
  });

  test('the same ID on another network stays', () => {
    const other = tableWith({ id: 'dead', network: 'other', addresses: ['10.88.0.5'], ports: [8080] });
    expect(planDeadRemoval({ addresses: [], owners: ownersOf('dead'), networks: ['test'] }, other, 4)).toEqual([]);
  });

  test('a chain of the old reference goes', () => {
    const chain = chainName('CNI-SN-', 'test', 'dead');
    const table = parseNat(`:POSTROUTING ACCEPT [0:0]
:CNI-HOSTPORT-SNAT - [0:0]
:${chain} - [0:0]
-A POSTROUTING -s 127.0.0.1/32 -m addrtype ! --dst-type LOCAL -j CNI-HOSTPORT-SNAT
-A CNI-HOSTPORT-SNAT -p tcp -m comment --comment "snat name: \\"test\\" id: \\"dead\\"" -j ${chain}
-A ${chain} -s 127.0.0.1/32 -d 10.88.0.5/32 -p tcp -m tcp --dport 80 -j MASQUERADE`) as Table;
    expect(without(table, { owners: ownersOf('dead') })).toEqual([]);
    expect(without(table, { addresses: ['10.88.0.5'] })).toEqual([]);
    expect(without(table, { addresses: ['10.88.0.55'] })).toHaveLength(3);
  });
});

describe('by address', () => {
  test('rules of whoever had it go, with chains that are left empty', () => {
    const table = tableWith({ id: 'dead', addresses: ['10.88.0.5'], ports: [8080] }, living);
    expect(without(table, { addresses: ['10.88.0.5'] })).toEqual(rulesOfLiving);
  });

  test('a sibling interface keeps its own, and what spares the networks of both', () => {
    const both = tableWith({ id: 'pod', addresses: ['10.88.0.5', '10.88.0.6'], ports: [8080, 8081] }, living);
    const one = tableWith(living, { id: 'pod', addresses: ['10.88.0.6'], ports: [8081] });
    expect(without(both, { addresses: ['10.88.0.5'] })).toEqual(ownRules(one));
  });

  test('an address that only begins like it stays', () => {
    const table = tableWith({ id: 'living', addresses: ['10.88.0.55'], ports: [8080] });
    expect(planDeadRemoval({ addresses: ['10.88.0.5'], owners: [], networks: ['test'] }, table, 4)).toEqual([]);
  });

  test('the same address on another network stays', () => {
    const table = tableWith({ id: 'living', network: 'other', addresses: ['10.88.0.5'], ports: [8080] });
    expect(planDeadRemoval({ addresses: ['10.88.0.5'], owners: [], networks: ['test'] }, table, 4)).toEqual([]);
  });

  test('IPv6', () => {
    const table = tableWith({ id: 'dead', addresses: ['fd00::5'], ports: [8080] });
    expect(without(table, { addresses: ['fd00::5'] }, 6)).toEqual([]);
  });

  test('an orphaned chain without a jump goes', () => {
    const chain = chainName('CNI-DN-', 'test', 'dead');
    const table: Table = new Map([
      ['CNI-HOSTPORT-DNAT', []],
      [chain, ['-p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.88.0.5:80']],
    ]);
    expect(without(table, { addresses: ['10.88.0.5'] })).toEqual([]);
  });
});

test('nothing of the dead, nothing to do', () => {
  const dead = { addresses: ['10.88.0.5'], owners: ownersOf('dead'), networks: ['test'] };
  expect(planDeadRemoval(dead, tableWith(living), 4)).toEqual([]);
});

test('chains of other programs are none of ours', () => {
  const table = parseNat(`:POSTROUTING ACCEPT [0:0]
:CNI-mine - [0:0]
:KUBE-SEP-5 - [0:0]
-A POSTROUTING -s 10.88.0.5/32 -j CNI-mine
-A POSTROUTING -s 10.88.0.5/32 -j MASQUERADE
-A KUBE-SEP-5 -p tcp -m tcp -j DNAT --to-destination 10.88.0.5:80`);
  expect(planDeadRemoval({ addresses: ['10.88.0.5'], owners: [], networks: ['test'] }, table, 4)).toEqual([]);
});

test('both ways to the same rule name it once', () => {
  const table = tableWith({ id: 'dead', addresses: ['10.88.0.5'], ports: [8080] }, living);
  expect(without(table, { addresses: ['10.88.0.5'], owners: ownersOf('dead', 'dead') })).toEqual(rulesOfLiving);
});
