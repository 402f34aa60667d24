/** Masquerade rules in nftables: the reference's, found again by either side. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { run } from '../../../../lib/exec.ts';
import { masqueradeComment } from '../../../../lib/nft/masquerades.ts';
import type { NftRule } from '../../../../lib/nft/nft.ts';
import { findMissing, nftMasquerade, planMasquerade, unlisted } from '../../../../plugins/bridge/masquerade-nft.ts';
import { cidr, owner } from './fixtures.ts';

vi.mock(import('../../../../lib/exec.ts'), async (original) => {
  const run = vi.fn();
  return { ...(await original()), run, runBeside: async (...call) => run(...call) };
});

const note = masqueradeComment(owner);
const rule4 = 'ip saddr 10.1.0.5 ip daddr != 10.1.0.0/24 masquerade';
const rule6 = 'ip6 saddr fd00::5 ip6 daddr != fd00::/64 masquerade';
const both = [cidr('10.1.0.5/24'), cidr('fd00::5/64')];

test('the script of an ADD', () => {
  expect(planMasquerade(owner, both, [{ chain: 'masq_checks', handle: 7 }]).toString()).toBe(`\
add table inet cni_plugins_masquerade { comment "Masquerading for plugins from github.com/containernetworking/plugins" ; }
add chain inet cni_plugins_masquerade masq_checks { comment "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet" ; }
add chain inet cni_plugins_masquerade postrouting { type nat hook postrouting priority 100 ; }
flush chain inet cni_plugins_masquerade postrouting
add rule inet cni_plugins_masquerade postrouting ip daddr 224.0.0.0/4 return
add rule inet cni_plugins_masquerade postrouting ip6 daddr ff00::/8 return
add rule inet cni_plugins_masquerade postrouting goto masq_checks
delete rule inet cni_plugins_masquerade masq_checks handle 7
add rule inet cni_plugins_masquerade masq_checks ${rule4} comment "${note}"
add rule inet cni_plugins_masquerade masq_checks ${rule6} comment "${note}"
`);
});

const shared = ['ip daddr 224.0.0.0/4 return', 'ip6 daddr ff00::/8 return', 'goto masq_checks'];
const whole: readonly NftRule[] = [
  ...shared.map((text, index) => ({ chain: 'postrouting', handle: index, comment: '', text })),
  { chain: 'masq_checks', handle: 10, comment: note, text: rule4 },
  { chain: 'masq_checks', handle: 11, comment: note, text: rule6 },
];

describe('findMissing()', () => {
  const chains = new Set(['masq_checks', 'postrouting']);

  test('all of it', () => {
    const gone = { chains: new Set<string>(), rules: [] };
    expect(findMissing(owner, both, gone)).toEqual(['since table inet cni_plugins_masquerade is gone']);
  });

  test('nothing when all is there', () => {
    expect(findMissing(owner, both, { chains, rules: whole })).toEqual([]);
  });

  test.each(whole)('$text', ({ handle, chain, text }) => {
    const rules = whole.filter((rule) => rule.handle !== handle);
    expect(findMissing(owner, both, { chains, rules })).toEqual([
      `in chain ${chain} of table inet cni_plugins_masquerade: ${text}`,
    ]);
  });

  test("another interface's rule is none of ours", () => {
    expect(findMissing({ ...owner, ifname: 'net1' }, both, { chains, rules: whole })).toHaveLength(2);
  });

  test('a network of one address has no length, as nft prints it', () => {
    const rules = [
      ...whole,
      { chain: 'masq_checks', handle: 12, comment: note, text: 'ip saddr 10.1.0.5 ip daddr != 10.1.0.5 masquerade' },
    ];
    expect(findMissing(owner, [cidr('10.1.0.5/32')], { chains, rules })).toEqual([]);
  });
});

test('unlisted() spares the containers that are known, by whichever interface, and other networks', () => {
  const of = (over: Partial<typeof owner>, handle: number): NftRule => ({
    chain: 'masq_checks',
    handle,
    comment: masqueradeComment({ ...owner, ...over }),
    text: rule4,
  });
  const rules = [
    of({}, 1),
    of({ ifname: 'net1' }, 2),
    of({ containerId: 'gone' }, 3),
    of({ network: 'other', containerId: 'gone' }, 4),
    of({ network: 'n'.repeat(90), ifname: 'net7' }, 5),
  ];
  const gone = (network: string, present: readonly (typeof owner)[]) =>
    unlisted(network, present, rules).map(({ handle }) => handle);
  expect(gone('test', [owner])).toEqual([3]);
  expect(gone('test', [{ ...owner, ifname: '' }])).toEqual([3]);
  expect(gone('test', [])).toEqual([1, 2, 3]);
  expect(gone('n'.repeat(90), [{ ...owner, network: 'n'.repeat(90), ifname: 'net7' }])).toEqual([]);
});

describe('what is started', () => {
  const nft = vi.mocked(run);
  const started = () => nft.mock.calls.map(([, args]) => args.slice(0, 3).join(' '));

  beforeEach(() => {
    const rules = whole.slice(3).map(({ chain, handle, comment }) => ({ rule: { chain, handle, comment, expr: [] } }));
    nft.mockReset().mockReturnValue(JSON.stringify({ nftables: rules }));
  });

  test('an ADD of a container seen for the first time is one child, for both families', async () => {
    await nftMasquerade.add(owner, both, false);
    expect(started()).toEqual(['-f -']);
  });

  test('an ADD after another one takes its rules away in the same transaction', async () => {
    await nftMasquerade.add(owner, both, true);
    expect(started()).toEqual(['--json list chain', '-f -']);
    expect(nft.mock.lastCall?.[2]?.input).toContain('masq_checks handle 10\n');
  });

  test('a DEL looks, and deletes only what is there', async () => {
    await nftMasquerade.remove(owner, { allBut: [] }, [4, 6]);
    expect(started()).toEqual(['--json list chain', '-f -']);
    nft.mockClear();
    await nftMasquerade.remove({ ...owner, containerId: 'other' }, { allBut: [] }, [4, 6]);
    expect(started()).toEqual(['--json list chain']);
  });
});
