/** Elements come and go: the usual transactions, and those that follow a look. */

import { describe, expect, test } from 'vitest';
import type { ElementListing } from '../../../../lib/nft/elements.ts';
import { masqueradeComment } from '../../../../lib/nft/masquerades.ts';
import type { DeadRules } from '../../../../lib/nft/owned-plan.ts';
import { ensureSets, SHARED_RULES } from '../../../../lib/nft/sets.ts';
import { makingGuard, removingGuard } from '../../../../lib/nft/sets-guard.ts';
import { deadElements, findMissing, planSets } from '../../../../lib/nft/sets-plan.ts';
import type { NftElement } from '../../../../lib/nft/transaction.ts';

function element(key: string, over: Partial<NftElement> = {}): NftElement {
  return { set: 'hairpins4', key, data: '', comment: 'me', ...over };
}

const port: NftElement = { set: 'host_ports4', key: 'tcp . 8080', data: '10.1.0.5 . 80', comment: 'me' };
const hairpin = element('10.1.0.5 . 10.1.0.5');
const own = [port, hairpin];

const shared = SHARED_RULES.map((rule, handle) => ({ ...rule, handle, comment: '' }));
const chains = new Set(shared.map(({ chain }) => chain));
const EMPTY: ElementListing = { chains: new Set(), rules: [], elements: [] };

function holding(...elements: readonly NftElement[]): ElementListing {
  return { chains, rules: shared, elements };
}

const ADDING = `\
create element inet nodecni host_ports4 { tcp . 8080 comment "me" : 10.1.0.5 . 80 }
create element inet nodecni hairpins4 { 10.1.0.5 . 10.1.0.5 comment "me" }
`;
const DELETING = `\
delete element inet nodecni host_ports4 { tcp . 8080 }
delete element inet nodecni hairpins4 { 10.1.0.5 . 10.1.0.5 }
`;

describe('planSets() without a look', () => {
  test.each([
    ['adds elements and touches nothing else', { added: own }, ADDING],
    ['beside others that need the guard', { added: own, guard: 'expect' }, ADDING],
    ['makes the guard for the first one', { added: own, guard: 'make' }, `${ensureSets()}${makingGuard()}${ADDING}`],
    ['makes all that is shared anew when it deletes', { gone: own }, `${ensureSets()}${DELETING}`],
    [
      'takes the guard with the last one',
      { gone: own, guard: 'remove' },
      `${ensureSets()}${removingGuard()}${DELETING}`,
    ],
    [
      'replaces in one transaction',
      { gone: [port], added: own, guard: 'expect' } as const,
      `${ensureSets()}${makingGuard()}delete element inet nodecni host_ports4 { tcp . 8080 }\n${ADDING}`,
    ],
    ['has nothing to do', {}, ''],
  ] as const)('%s', (_, change, script) => {
    expect(planSets(change).join('')).toBe(script);
  });
});

describe('planSets() after a look', () => {
  test('makes the table', () => {
    expect(planSets({ added: own, guard: 'expect' }, EMPTY).join('')).toBe(`${ensureSets()}${makingGuard()}${ADDING}`);
  });

  test('deletes what is there, and nothing that another one has', () => {
    const change = { gone: [...own, element('127.0.0.1 . 10.1.0.5')] };
    const listing = holding(port, { ...hairpin, comment: 'another' });
    expect(planSets(change, listing).join('')).toBe(
      `${ensureSets()}delete element inet nodecni host_ports4 { tcp . 8080 }\n`,
    );
  });

  test('takes the place of what an attachment that is gone has left', () => {
    expect(planSets({ added: [hairpin] }, holding({ ...hairpin, comment: 'another' })).join('')).toBe(`\
${ensureSets()}delete element inet nodecni hairpins4 { 10.1.0.5 . 10.1.0.5 }
create element inet nodecni hairpins4 { 10.1.0.5 . 10.1.0.5 comment "me" }
`);
  });

  test.each([
    ['of nobody', { gone: own }, holding({ ...port, comment: 'another' })],
    ['without a table', { gone: own, guard: 'remove' } as const, EMPTY],
  ])('deletes nothing %s', (_, change, listing) => {
    expect(planSets(change, listing)).toEqual([]);
  });

  test('takes the guard, though no element is left', () => {
    expect(planSets({ gone: own, guard: 'remove' }, holding()).join('')).toBe(`${ensureSets()}${removingGuard()}`);
  });
});

describe('findMissing()', () => {
  test('is content with what ADD makes', () => {
    expect(findMissing(own, holding(...own))).toEqual([]);
  });

  test('names the table', () => {
    expect(findMissing(own, EMPTY)).toEqual([{ place: '', what: '' }]);
  });

  test.each(shared)('names a shared rule: $text', ({ handle, chain, text }) => {
    const rules = shared.filter((rule) => rule.handle !== handle);
    expect(findMissing(own, { ...holding(...own), rules })).toEqual([{ place: `chain ${chain}`, what: text }]);
  });

  test.each([
    ['that is gone', []],
    ['that is another one’s', [{ ...port, comment: 'another' }]],
    ['that leads elsewhere', [{ ...port, data: '10.1.0.6 . 80' }]],
  ])('names an element %s', (_, instead) => {
    expect(findMissing(own, holding(hairpin, ...instead))).toEqual([{ place: 'map host_ports4', what: 'tcp . 8080' }]);
  });

  test('calls a set a set', () => {
    expect(findMissing(own, holding(port))).toEqual([{ place: 'set hairpins4', what: hairpin.key }]);
  });
});

describe('deadElements()', () => {
  const of = (network: string, containerId: string, ifname: string, address: string): NftElement[] => {
    const comment = masqueradeComment({ network, containerId, ifname });
    return [
      { set: 'host_ports4', key: `tcp . ${address.slice(-1)}`, data: `${address} . 80`, comment },
      { set: 'excluded_ports4', key: `tcp . ${address.slice(-1)} . 192.0.2.10`, data: '', comment },
      { set: 'own_networks4', key: `${address} . 10.1.0.0/24`, data: '', comment },
    ];
  };
  const attachments = {
    first: of('net1', 'one', 'eth0', '10.1.0.5'),
    sibling: of('net1', 'one', 'net1', '10.1.0.6'),
    other: of('net1', 'two', 'eth0', '10.1.0.7'),
    elsewhere: of('net2', 'one', 'eth0', '10.1.0.5'),
    byHand: [{ set: 'masqueraded4', key: '10.1.0.5', data: '', comment: 'by hand' }],
  };
  const NOTHING: DeadRules = { addresses: [], owners: [], networks: ['net1'] };

  test.each<[string, Partial<DeadRules>, (keyof typeof attachments)[]]>([
    ['nobody', {}, []],
    ['an address, on its network only, with all that its attachment has', { addresses: ['10.1.0.5'] }, ['first']],
    ['a whole container', { owners: [{ network: 'net1', containerId: 'one' }] }, ['first', 'sibling']],
    ['another network', { owners: [{ network: 'net2', containerId: 'one' }], networks: ['net2'] }, ['elsewhere']],
    ['a container nobody knows', { owners: [{ network: 'net1', containerId: 'six' }] }, []],
  ])('of %s', (_, dead, gone) => {
    const all = Object.values(attachments).flat();
    expect(deadElements({ ...NOTHING, ...dead }, all)).toEqual(gone.flatMap((name) => attachments[name]));
  });
});
