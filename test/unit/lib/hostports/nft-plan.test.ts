/** Whose a rule is: a comment names the container alone, so what tells its networks apart is where a rule sends to. */

import { describe, expect, test } from 'vitest';
import type { Forwarding } from '../../../../lib/hostports/forwarding.ts';
import { findMissing, planRemoval, planTakingBack } from '../../../../lib/hostports/nft-plan.ts';
import { type NftRules, nftRulesOf } from '../../../../lib/hostports/nft-rules.ts';
import { type HostportRule, hostportRules } from '../../../../lib/nft/hostports.ts';
import type { NftRule } from '../../../../lib/nft/nft.ts';
import { forwarding, mapping } from './fixtures.ts';

function rulesOf(over: Partial<Forwarding> = {}): NftRules {
  const rules = nftRulesOf(forwarding({ backend: 'nftables', ...over }), 4);
  if (rules === undefined) throw new Error('no IPv4 address');
  return rules;
}

/** As the kernel has them after these ADDs. */
function made(...all: readonly NftRules[]): HostportRule[] {
  const rules = all.flatMap(({ owned, comment }) =>
    owned.map(({ chain, text, conditions }) => ({ chain, comment, text: `${conditions} ${text}`.trim() })),
  );
  return hostportRules({ chains: new Set(), rules: rules.map((rule, index) => ({ ...rule, handle: index + 1 })) });
}

const handles = (rules: readonly NftRule[]) => rules.map(({ handle }) => handle).sort((a, b) => a - b);
const nowhere = { addresses: [], owned: [] };
const first = rulesOf();
const second = rulesOf({ network: 'other', targets: { 4: '10.89.0.5/16' } });
const stranger = rulesOf({ containerId: 'stranger', targets: { 4: '10.88.0.5/16' } });

describe('planRemoval()', () => {
  const removal = { containerId: '1234', addresses: ['10.88.0.5'], own: first.owned };
  const notAsked = () => {
    throw new Error('read without need');
  };

  test("takes one network's rules of a container, and nobody else's", () => {
    expect(handles(planRemoval(removal, made(second, first, stranger), notAsked))).toEqual([4, 5, 6]);
  });

  test('takes what else sends there, unless another network of the container wants it', () => {
    const extra = rulesOf({ mappings: [mapping(9)], snat: false });
    const rules = made(first, extra);
    expect(handles(planRemoval(removal, rules, () => nowhere))).toEqual([1, 2, 3, 4]);
    const elsewhere = { addresses: ['10.88.0.5'], owned: extra.owned };
    expect(handles(planRemoval(removal, rules, () => elsewhere))).toEqual([1, 2, 3]);
  });

  test('takes a rule as often as it is there', () => {
    expect(handles(planRemoval(removal, made(first, first), notAsked))).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('when nobody knows the address: all of the container but what it has elsewhere', () => {
    const unknown = { containerId: '1234', addresses: undefined, own: [] };
    const rules = made(first, second, stranger);
    expect(handles(planRemoval(unknown, rules, () => nowhere))).toEqual([1, 2, 3, 4, 5, 6]);
    const elsewhere = { addresses: ['10.89.0.5'], owned: second.owned };
    expect(handles(planRemoval(unknown, rules, () => elsewhere))).toEqual([1, 2, 3]);
  });

  test('finds rules with conditions, in whichever words nft prints them', () => {
    const narrowed = rulesOf({ conditions: { 4: ['ip', 'saddr', '{', '10.9.0.0/16', '}'], 6: [] } });
    const rules = made(narrowed).map((rule) => ({ ...rule, text: rule.text.replace(/\{ (\S+) \}/, '{"set":["$1"]}') }));
    expect(handles(planRemoval({ ...removal, own: narrowed.owned }, rules, notAsked))).toEqual([1, 2, 3]);
  });
});

test('planTakingBack() takes the newest of each, and leaves those of an earlier ADD', () => {
  expect(handles(planTakingBack(first, made(first, second, first)))).toEqual([7, 8, 9]);
  expect(handles(planTakingBack(first, made(stranger)))).toEqual([]);
});

describe('findMissing()', () => {
  const chains = new Set(['hostports', 'hostip_hostports', 'hostports_all', 'prerouting', 'output', 'masquerading']);
  const shared = (rules: NftRules) =>
    rules.shared.map((rule, index) => ({ ...rule, comment: '', handle: 100 + index }));
  const whole = { chains, rules: [...shared(first), ...made(first)] };

  test('nothing when the reference made the rules, whose conditions stand elsewhere', () => {
    const narrowed = rulesOf({ conditions: { 4: ['ip', 'saddr', '!=', '10.9.0.0/16'], 6: [] } });
    expect(findMissing(narrowed, whole)).toEqual([]);
  });

  test('nothing when all is there, also behind conditions of others', () => {
    expect(findMissing(first, whole)).toEqual([]);
    const behind = whole.rules.map((rule) =>
      rule.chain === 'output' ? { ...rule, text: `meta iifname eth0 ${rule.text}` } : rule,
    );
    expect(findMissing(first, { chains, rules: behind })).toEqual([]);
  });

  test('the table', () => {
    expect(findMissing(first, { chains: new Set(), rules: [] })).toEqual(['table ip cni_hostport']);
  });

  test('a chain, without its rules', () => {
    const rules = whole.rules.filter(({ chain }) => chain !== 'prerouting');
    const left = new Set([...chains].filter((chain) => chain !== 'prerouting'));
    expect(findMissing(first, { chains: left, rules })).toEqual(['chain prerouting of table ip cni_hostport']);
  });

  test.each(whole.rules)('rule $text of chain $chain', ({ handle, chain, text }) => {
    const rules = whole.rules.filter((rule) => rule.handle !== handle);
    expect(findMissing(first, { chains, rules })).toEqual([
      `rule "${text}" in chain ${chain} of table ip cni_hostport`,
    ]);
  });

  test("somebody else's rule with the same words is none of ours", () => {
    const rules = [...shared(first), ...made(stranger)];
    expect(findMissing(first, { chains, rules })).toHaveLength(3);
  });
});
