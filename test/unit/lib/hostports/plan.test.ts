/** The plans, played on a model of the nat table. */

import { describe, expect, test } from 'vitest';
import type { Forwarding } from '../../../../lib/hostports/forwarding.ts';
import { findMissing, planAdd, planRemoval, planUsualAdd, planUsualRemoval } from '../../../../lib/hostports/plan.ts';
import { type FamilyRules, rulesOf } from '../../../../lib/hostports/rules.ts';
import { inverseLines } from '../../../../lib/iptables/nat-lines.ts';
import { emptyTable, forwarding, listing, mapping, play, type Table } from './fixtures.ts';

const CHAIN = 'CNI-DN-2bbe0c48b91a7d1b8a675';
const nobody = { former: undefined, living: [] };
const wantedBy = (over: Partial<Forwarding> = {}) => rulesOf(forwarding(over), 4) as FamilyRules;
const removalOf = (wanted: FamilyRules) => ({ ...wanted, addresses: [wanted.address] });

const second = { ifname: 'eth1', targets: { 4: '10.88.0.7/16' } };
const other = wantedBy({ containerId: 'other', targets: { 4: '10.88.0.9/16' }, mappings: [mapping(1)] });

/** A host on which another container has a port forwarded. */
function usedHost(): Table {
  return play(emptyTable(), planAdd(other, emptyTable(), nobody));
}

function added(table: Table, wanted: FamilyRules, neighbours: Parameters<typeof planAdd>[2] = nobody): Table {
  return play(table, planAdd(wanted, table, neighbours));
}

describe('planAdd()', () => {
  test('on a host that never forwarded a port creates what all containers share', () => {
    const table = added(emptyTable(), wantedBy());
    expect(table.get('PREROUTING')).toEqual(['-m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT']);
    expect(table.get('OUTPUT')).toEqual(table.get('PREROUTING'));
    expect(findMissing(wantedBy(), table)).toEqual([]);
  });

  test('leads to masquerading before everything else in POSTROUTING', () => {
    const table = emptyTable();
    table.get('POSTROUTING')?.push('-s 10.88.0.5/32 -j CNI-something');
    expect(added(table, wantedBy()).get('POSTROUTING')?.[0]).toMatch(/-j CNI-HOSTPORT-MASQ$/);
  });

  test('makes the same table as planUsualAdd() where that holds', () => {
    expect(listing(added(usedHost(), wantedBy()))).toEqual(listing(play(usedHost(), planUsualAdd(wantedBy()))));
  });

  test('writes nothing when everything is there', () => {
    const table = added(usedHost(), wantedBy());
    expect(planAdd(wantedBy(), table, nobody)).toEqual([]);
  });

  test('forwards a port that is asked for twice once', () => {
    const wanted = wantedBy({ mappings: [mapping(8080), mapping(8080)] });
    expect(added(usedHost(), wanted).get(CHAIN)).toHaveLength(3);
    expect(play(usedHost(), planUsualAdd(wanted)).get(CHAIN)).toHaveLength(3);
  });

  test('puts a lost mark before the rule that ends the walk', () => {
    const table = added(usedHost(), wantedBy());
    table.get(CHAIN)?.splice(0, 1);
    const repaired = added(table, wantedBy()).get(CHAIN) ?? [];
    expect(repaired).toHaveLength(3);
    expect(repaired[2]).toContain('-j DNAT');
  });

  test('evicts a forward of the same port to another address, with no record of it', () => {
    const table = added(usedHost(), wantedBy({ targets: { 4: '10.88.0.77/16' } }));
    expect(listing(added(table, wantedBy()))).toEqual(listing(added(usedHost(), wantedBy())));
  });

  test('evicts what a former ADD of the attachment wanted, to the last rule', () => {
    const former = wantedBy({ targets: { 4: '10.88.0.77/16' }, mappings: [mapping(8080), mapping(7), mapping(8)] });
    const table = added(added(usedHost(), former), wantedBy(), { former, living: [] });
    expect(listing(table)).toEqual(listing(added(usedHost(), wantedBy())));
  });

  test('keeps a forward of another port that nobody recorded: it may be of a living interface', () => {
    const table = added(usedHost(), wantedBy({ ...second, mappings: [mapping(7)] }));
    expect(added(table, wantedBy()).get(CHAIN)?.join()).toContain('--to-destination 10.88.0.7:80');
  });

  describe('with addresses to exclude', () => {
    const excludes = { 4: ['192.0.2.10/32', '198.51.100.0/24'], 6: [] };
    const first = ['-d 192.0.2.10/32 -j RETURN', '-d 198.51.100.0/24 -j RETURN'];

    test('leaves them before it forwards anything', () => {
      const table = play(usedHost(), planUsualAdd(wantedBy({ excludes })));
      expect(table.get(CHAIN)?.slice(0, 2)).toEqual(first);
      expect(table.get(CHAIN)).toHaveLength(5);
      expect(listing(added(usedHost(), wantedBy({ excludes })))).toEqual(listing(table));
      expect(planAdd(wantedBy({ excludes }), table, nobody)).toEqual([]);
      expect(listing(play(table, planUsualRemoval(wantedBy({ excludes }))))).toEqual(listing(usedHost()));
    });

    test('puts them first where there were none, and takes away those of an earlier ADD', () => {
      const table = added(usedHost(), wantedBy());
      const former = wantedBy();
      const more = added(table, wantedBy({ excludes }), { former, living: [] });
      expect(more.get(CHAIN)?.slice(0, 2)).toEqual(first);
      const less = added(more, wantedBy(), { former: wantedBy({ excludes }), living: [] });
      expect(listing(less)).toEqual(listing(table));
    });
  });

  test('evicts the dead of its own chain to the last rule', () => {
    const dead = wantedBy({ ...second, mappings: [mapping(7), mapping(8)] });
    const table = added(usedHost(), dead);
    expect(listing(added(table, wantedBy(), { ...nobody, dead: ['10.88.0.7'] }))).toEqual(
      listing(added(usedHost(), wantedBy())),
    );
  });

  test('can be taken back, also where it had replaced rules', () => {
    const former = wantedBy({ targets: { 4: '10.88.0.77/16' }, mappings: [mapping(8080), mapping(7)] });
    const table = added(usedHost(), former);
    const lines = planAdd(wantedBy(), table, { former, living: [] });
    expect(listing(play(play(table, lines), inverseLines(lines, CHAIN)))).toEqual(listing(table));
  });
});

describe('two interfaces of one container on one network', () => {
  const ports = {
    disjoint: [[1080, 1081], [2080]],
    same: [[1080], [1080]],
    overlapping: [
      [1080, 1081],
      [1081, 1082],
    ],
    contained: [[1080], [1080, 1081]],
  } as const;

  test.each(Object.entries(ports))('with %s ports: each goes by itself, the chain with the last', (_, [one, two]) => {
    const first = wantedBy({ mappings: one.map((port) => mapping(port)) });
    const sibling = wantedBy({ ...second, mappings: two.map((port) => mapping(port)) });
    const table = added(added(usedHost(), first), sibling, { former: undefined, living: [first.address] });
    for (const [goes, stays] of [
      [first, sibling],
      [sibling, first],
    ] as const) {
      expect(findMissing(goes, table)).toEqual([]);
      expect(() => play(table, planUsualRemoval(goes))).toThrow();
      const left = play(table, planRemoval(removalOf(goes), table));
      expect(findMissing(stays, left)).toEqual([]);
      expect(listing(left).join('\n')).not.toContain(`${goes.address}:`);
      expect(listing(play(left, planRemoval(removalOf(stays), left)))).toEqual(listing(usedHost()));
    }
  });
});

describe('planRemoval()', () => {
  test('leaves what others use', () => {
    const table = added(usedHost(), wantedBy());
    expect(listing(play(table, planRemoval(removalOf(wantedBy()), table)))).toEqual(listing(usedHost()));
    expect(listing(play(table, planUsualRemoval(wantedBy())))).toEqual(listing(usedHost()));
  });

  test('writes nothing when the chain is gone', () => {
    expect(planRemoval(removalOf(wantedBy()), usedHost())).toEqual([]);
  });

  test('takes the whole chain when nobody knows the addresses any more', () => {
    const table = added(added(usedHost(), wantedBy()), wantedBy({ ...second, mappings: [mapping(7)] }));
    const removal = { chain: CHAIN, addresses: undefined, entries: [] };
    expect(listing(play(table, planRemoval(removal, table)))).toEqual(listing(usedHost()));
  });

  test('spares the other interfaces that are known when nobody knows the addresses any more', () => {
    const other = wantedBy({ ...second, mappings: [mapping(7)] });
    const table = added(added(usedHost(), wantedBy()), other);
    const removal = { chain: CHAIN, addresses: undefined, living: [other.address], entries: [] };
    expect(findMissing(other, play(table, planRemoval(removal, table)))).toEqual([]);
  });

  test('takes an emptied chain and what still leads to it', () => {
    const table = added(usedHost(), wantedBy());
    table.set(CHAIN, []);
    expect(listing(play(table, planRemoval(removalOf(wantedBy()), table)))).toEqual(listing(usedHost()));
  });

  test('finds an entry by its ports when the kernel prints its conditions differently', () => {
    const conditions = { 4: ['-s', '10.0.0.7'], 6: [] };
    const wanted = wantedBy({ conditions });
    const table = added(usedHost(), wanted);
    const entries = table.get('CNI-HOSTPORT-DNAT') ?? [];
    table.set(
      'CNI-HOSTPORT-DNAT',
      entries.map((rule) => rule.replace('-s 10.0.0.7', '-s 10.0.0.7/32')),
    );
    expect(findMissing(wanted, table)).toEqual([]);
    expect(planAdd(wanted, table, nobody)).toEqual([]);
    expect(listing(play(table, planRemoval(removalOf(wanted), table)))).toEqual(listing(usedHost()));
  });
});

describe('findMissing() names', () => {
  test.each([
    ['PREROUTING', 0, 'rule "-m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT" in chain PREROUTING'],
    ['OUTPUT', 0, 'rule "-m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT" in chain OUTPUT'],
    ['POSTROUTING', 0, /in chain POSTROUTING$/],
    ['CNI-HOSTPORT-SETMARK', 0, /in chain CNI-HOSTPORT-SETMARK$/],
    ['CNI-HOSTPORT-MASQ', 0, /in chain CNI-HOSTPORT-MASQ$/],
    ['CNI-HOSTPORT-DNAT', 1, /--dports 8080 -j .* in chain CNI-HOSTPORT-DNAT$/],
    [CHAIN, 0, /-s 10.88.0.0\/16 .* in chain CNI-DN-/],
    [CHAIN, 1, /-s 127.0.0.1\/32 .* in chain CNI-DN-/],
    [CHAIN, 2, /--to-destination 10.88.0.5:80" in chain CNI-DN-/],
  ])('a lost rule of %s (%i)', (chain, index, sentence) => {
    const table = added(usedHost(), wantedBy());
    table.get(chain)?.splice(index, 1);
    expect(findMissing(wantedBy(), table)).toEqual([
      typeof sentence === 'string' ? sentence : expect.stringMatching(sentence),
    ]);
  });

  test('a lost chain, and not each of its rules', () => {
    expect(findMissing(wantedBy(), usedHost())).toEqual([
      `chain ${CHAIN}`,
      expect.stringMatching(/--dports 8080 .* in chain CNI-HOSTPORT-DNAT$/),
    ]);
  });
});
