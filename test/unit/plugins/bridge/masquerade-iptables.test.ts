/** Masquerade rules: the reference's, in an order that spares every network, and gone without a trace. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import {
  applyNat,
  applyNatBeside,
  type NatTable,
  parseNat,
  saveIfSupported,
  saveNat,
} from '../../../../lib/iptables/nat.ts';
import {
  iptablesMasquerade,
  masqueradeRules,
  planMasquerade,
  planUnmasquerade,
} from '../../../../plugins/bridge/masquerade-iptables.ts';
import { chain, cidr, owner } from './fixtures.ts';

vi.mock(import('../../../../lib/iptables/nat.ts'), async (original) => ({
  ...(await original()),
  applyNat: vi.fn(),
  applyNatBeside: vi.fn(),
  saveNat: vi.fn(),
  saveIfSupported: vi.fn(),
}));

const note = '-m comment --comment "name: \\"test\\" id: \\"1234\\""';
const one = [cidr('10.1.0.5/24')];

/** The nat table as iptables-save prints it: POSTROUTING with `jumps`, our chain with `rules`. */
function table(jumps: readonly string[], rules: readonly string[] | undefined): NatTable {
  return parseNat(
    [
      '*nat',
      ':POSTROUTING ACCEPT [0:0]',
      ...(rules === undefined ? [] : [`:${chain} - [0:0]`]),
      ...jumps.map((rule) => `-A POSTROUTING ${rule}`),
      ...(rules ?? []).map((rule) => `-A ${chain} ${rule}`),
      'COMMIT',
    ].join('\n'),
  );
}

const jump = (address: string) => `-s ${address} ${note} -j ${chain}`;
const spare = (network: string) => `-d ${network} ${note} -j ACCEPT`;
const masquerade = `! -d 224.0.0.0/4 ${note} -j MASQUERADE`;
const foreign = '-s 10.9.0.0/16 ! -o docker0 -j MASQUERADE';

test.each([
  [
    ['10.1.0.5/24'],
    {
      chain,
      spared: [spare('10.1.0.0/24')],
      masquerade,
      jumps: [jump('10.1.0.5/32')],
    },
  ],
  [
    ['fd00::5/64'],
    {
      chain,
      spared: [spare('fd00::/64')],
      masquerade: `! -d ff00::/8 ${note} -j MASQUERADE`,
      jumps: [jump('fd00::5/128')],
    },
  ],
])("masqueradeRules() of %j are the reference's", (addresses, expected) => {
  expect(masqueradeRules(owner, addresses.map(cidr))).toEqual(expected);
});

describe('planMasquerade()', () => {
  const fresh = [
    `-N ${chain}`,
    `-A ${chain} ${spare('10.1.0.0/24')}`,
    `-A ${chain} ${masquerade}`,
    `-A POSTROUTING ${jump('10.1.0.5/32')}`,
  ];

  test('makes all for a container seen for the first time, looked at or not', () => {
    expect(planMasquerade(owner, one, undefined)).toEqual(fresh);
    expect(planMasquerade(owner, one, table([foreign], undefined))).toEqual(fresh);
  });

  test('spares every network before it masquerades anything, each network once', () => {
    const addresses = ['10.1.0.5/24', '10.2.0.5/24', '10.1.0.6/24'].map(cidr);
    expect(planMasquerade(owner, addresses, undefined)).toEqual([
      `-N ${chain}`,
      `-A ${chain} ${spare('10.1.0.0/24')}`,
      `-A ${chain} ${spare('10.2.0.0/24')}`,
      `-A ${chain} ${masquerade}`,
      `-A POSTROUTING ${jump('10.1.0.5/32')}`,
      `-A POSTROUTING ${jump('10.2.0.5/32')}`,
      `-A POSTROUTING ${jump('10.1.0.6/32')}`,
    ]);
  });

  test('spares the network of a second interface before the masquerade rule of the first', () => {
    const first = table([jump('10.2.0.5/32')], [spare('10.2.0.0/24'), masquerade]);
    expect(planMasquerade(owner, one, first)).toEqual([
      `-I ${chain} 1 ${spare('10.1.0.0/24')}`,
      `-A POSTROUTING ${jump('10.1.0.5/32')}`,
    ]);
  });

  test('has nothing to do when all is there', () => {
    const whole = table([foreign, jump('10.1.0.5/32')], [spare('10.1.0.0/24'), masquerade]);
    expect(planMasquerade(owner, one, whole)).toEqual([]);
  });

  test('completes what is half there', () => {
    expect(planMasquerade(owner, one, table([], []))).toEqual([
      `-I ${chain} 1 ${spare('10.1.0.0/24')}`,
      `-A ${chain} ${masquerade}`,
      `-A POSTROUTING ${jump('10.1.0.5/32')}`,
    ]);
  });
});

describe('planUnmasquerade()', () => {
  const gone = [`-F ${chain}`, `-X ${chain}`];
  const rules = [spare('10.1.0.0/24'), masquerade];
  const other = jump('10.2.0.5/32');

  test.each([
    [
      'takes the rules and the chain',
      { only: one },
      table([foreign, jump('10.1.0.5/32')], rules),
      [`-D POSTROUTING ${jump('10.1.0.5/32')}`, ...gone],
    ],
    [
      'keeps the chain while another interface needs it',
      { only: one },
      table([jump('10.1.0.5/32'), other], rules),
      [`-D POSTROUTING ${jump('10.1.0.5/32')}`],
    ],
    ['touches nothing of another interface alone', { only: one }, table([other], rules), []],
    ['takes a chain that nothing leads to', { only: one }, table([foreign], rules), gone],
    ['has nothing to do when all is gone', { only: one }, table([foreign], undefined), []],
    [
      'takes what an old version of the reference wrote',
      { only: one },
      table([jump('10.1.0.0/24')], rules),
      [`-D POSTROUTING ${jump('10.1.0.0/24')}`, ...gone],
    ],
    [
      'takes a rule as often as it is there',
      { only: one },
      table([jump('10.1.0.5/32'), jump('10.1.0.5/32')], rules),
      [`-D POSTROUTING ${jump('10.1.0.5/32')}`, `-D POSTROUTING ${jump('10.1.0.5/32')}`, ...gone],
    ],
    [
      'takes all that leads to the chain when nobody knows the address',
      { allBut: [] },
      table([foreign, jump('10.1.0.5/32'), other], rules),
      [`-D POSTROUTING ${jump('10.1.0.5/32')}`, `-D POSTROUTING ${other}`, ...gone],
    ],
    [
      "spares the container's other interfaces then",
      { allBut: [cidr('10.2.0.5/24')] },
      table([jump('10.1.0.5/32'), other], rules),
      [`-D POSTROUTING ${jump('10.1.0.5/32')}`],
    ],
  ])('%s', (_what, addresses, seen, expected) => {
    expect(planUnmasquerade(owner, addresses, seen)).toEqual(expected);
  });
});

describe('what is sent', () => {
  const apply = vi.mocked(applyNat);
  const beside = vi.mocked(applyNatBeside);
  const save = vi.mocked(saveIfSupported);

  beforeEach(() => {
    apply.mockReset();
    beside.mockReset().mockImplementation(async (family, plan) => apply(family, plan));
    save.mockReset().mockReturnValue(table([], undefined));
  });

  /** Family and optimistic plan of every transaction. */
  function sent() {
    return apply.mock.calls.map(([family, plan, seen]) => ({ family, lines: plan(seen) }));
  }

  test('add() is one transaction per family that there is', async () => {
    await iptablesMasquerade.add(owner, [...one, cidr('fd00::5/64')], false);
    expect(sent().map(({ family, lines }) => [family, lines.length])).toEqual([
      [4, 4],
      [6, 4],
    ]);
    apply.mockClear();
    await iptablesMasquerade.add(owner, one, false);
    expect(sent().map(({ family }) => family)).toEqual([4]);
    apply.mockClear();
    await iptablesMasquerade.add(owner, [], false);
    expect(apply).not.toHaveBeenCalled();
  });

  test('remove() supposes the usual state and names each rule once', async () => {
    await iptablesMasquerade.remove(owner, { only: [...one, ...one] }, [4, 6]);
    expect(sent()).toEqual([
      { family: 4, lines: [`-D POSTROUTING ${jump('10.1.0.5/32')}`, `-F ${chain}`, `-X ${chain}`] },
    ]);
    expect(save).not.toHaveBeenCalled();
  });

  test('remove() looks first when nobody knows the address', async () => {
    save.mockImplementation((family) => (family === 4 ? table([jump('10.1.0.5/32')], []) : undefined));
    await iptablesMasquerade.remove(owner, { allBut: [] }, [4, 6]);
    expect(sent()).toEqual([
      { family: 4, lines: [`-D POSTROUTING ${jump('10.1.0.5/32')}`, `-F ${chain}`, `-X ${chain}`] },
    ]);
  });

  test('remove() looks first into a family that is not masqueraded, if there can be one', async () => {
    save.mockReturnValue(undefined);
    await iptablesMasquerade.remove(owner, { only: [...one, cidr('fd00::5/64')] }, [4]);
    expect(apply.mock.calls.map(([family]) => family)).toEqual([4]);
    save.mockReturnValue(table([jump('fd00::5/128')], []));
    await iptablesMasquerade.remove(owner, { only: [cidr('fd00::5/64')] }, [4]);
    expect(sent().at(-1)).toEqual({
      family: 6,
      lines: [`-D POSTROUTING ${jump('fd00::5/128')}`, `-F ${chain}`, `-X ${chain}`],
    });
  });

  test('remove() does the other family when one fails', async () => {
    apply.mockImplementationOnce(() => {
      throw new Error('refused');
    });
    const removing = iptablesMasquerade.remove(owner, { only: [...one, cidr('fd00::5/64')] }, [4, 6]);
    await expect(removing).rejects.toThrow('refused');
    expect(apply.mock.calls.map(([family]) => family)).toEqual([4, 6]);
  });

  test.each([
    [spare('10.1.0.0/24'), chain],
    [masquerade, chain],
    [jump('10.1.0.5/32'), 'POSTROUTING'],
  ])('missing() names %s', (rule, at) => {
    const rules = [spare('10.1.0.0/24'), masquerade].filter((present) => present !== rule);
    const seen = table(at === 'POSTROUTING' ? [] : [jump('10.1.0.5/32')], rules);
    vi.mocked(saveNat).mockReturnValue(seen);
    expect(iptablesMasquerade.missing(owner, one)).toEqual([`in chain ${at} of IPv4 table nat: ${rule}`]);
  });

  test('missing() finds nothing missing when all is there', () => {
    vi.mocked(saveNat).mockReturnValue(table([jump('10.1.0.5/32')], [spare('10.1.0.0/24'), masquerade]));
    expect(iptablesMasquerade.missing(owner, one)).toEqual([]);
  });
});
