/** Masquerade in sets: what is started, and what an attachment puts there. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { run, ToolError } from '../../../../lib/exec.ts';
import { masqueradeComment } from '../../../../lib/nft/masquerades.ts';
import { ensureSets, SHARED_RULES } from '../../../../lib/nft/sets.ts';
import { planSets } from '../../../../lib/nft/sets-plan.ts';
import { setsMasquerade } from '../../../../plugins/bridge/masquerade-sets.ts';
import { cidr, owner } from './fixtures.ts';

const nft = vi.mocked(run);

vi.mock(import('../../../../lib/exec.ts'), async (original) => ({
  ...(await original()),
  run: vi.fn(),
  runBeside: vi.fn(async (...args: Parameters<typeof run>) => nft(...args)),
}));

const note = masqueradeComment(owner);
const both = [cidr('10.1.0.5/24'), cidr('fd00::5/64')];
const LOOK = '--json list table inet nodecni';

const CREATING = `\
create element inet nodecni masqueraded4 { 10.1.0.5 comment "${note}" }
create element inet nodecni own_networks4 { 10.1.0.5 . 10.1.0.0/24 comment "${note}" }
create element inet nodecni masqueraded6 { fd00::5 comment "${note}" }
create element inet nodecni own_networks6 { fd00::5 . fd00::/64 comment "${note}" }
`;
const DELETING = CREATING.replaceAll('create', 'delete').replaceAll(` comment "${note}"`, '');

const started = () => nft.mock.calls.map(([, args, options]) => options?.input ?? args.join(' '));

/** A listing with the elements of `owners` at 10.1.0.5. */
function holding(...owners: readonly (typeof owner)[]): string {
  const sets = owners.map((one) => {
    const comment = masqueradeComment(one);
    return [
      { set: { name: 'masqueraded4', elem: [{ elem: { val: '10.1.0.5', comment } }] } },
      { map: { name: 'host_ports4', elem: [[{ elem: { val: 'port', comment } }, '10.1.0.5 . 80']] } },
    ];
  });
  return JSON.stringify({ nftables: [{ chain: { name: 'postrouting' } }, ...sets.flat()] });
}

beforeEach(() => void nft.mockReset().mockReturnValue(holding(owner)));

test('an ADD is one child for both families, and touches nothing of others', async () => {
  await setsMasquerade.add(owner, both, false);
  expect(started()).toEqual([CREATING]);
});

test('an ADD after another one takes its elements away in the same transaction', async () => {
  await setsMasquerade.add(owner, both, true);
  expect(started()).toEqual([
    LOOK,
    `${ensureSets()}delete element inet nodecni masqueraded4 { 10.1.0.5 }\n${CREATING}`,
  ]);
});

test('what rides in the transaction of the ports is the same', () => {
  const adding = setsMasquerade.adding(owner, both, false).sets(undefined);
  expect(planSets(adding ?? {}).join('')).toBe(CREATING);
  expect(setsMasquerade.adding(owner, both, true).sets(undefined)).toBeUndefined();
  const removing = setsMasquerade.removing(owner, both).sets(undefined);
  expect(planSets(removing ?? {}).join('')).toBe(`${ensureSets()}${DELETING}`);
});

describe('a DEL', () => {
  test('is one child where it is known what ADD has made', async () => {
    await setsMasquerade.remove(owner, { only: [...both, ...both] }, [4, 6]);
    expect(started()).toEqual([`${ensureSets()}${DELETING}`]);
  });

  test.each([
    ['nobody knows the addresses', { allBut: [] }, [4, 6] as const],
    ['the configuration masquerades less than it may have', { only: both }, [4] as const],
  ])('looks where %s, and leaves forwarded ports', async (_, addresses, families) => {
    await setsMasquerade.remove(owner, addresses, families);
    expect(started()).toEqual([LOOK, `${ensureSets()}delete element inet nodecni masqueraded4 { 10.1.0.5 }\n`]);
  });

  test('looks when it was refused', async () => {
    nft.mockImplementationOnce(() => {
      const stderr = 'Error: Could not process rule: No such file or directory';
      throw new ToolError('nft', { exitCode: 1, stderr, stdout: '' }, '"nft" ended with status 1');
    });
    await setsMasquerade.remove(owner, { only: both }, [4, 6]);
    expect(started().slice(1)).toEqual([
      LOOK,
      `${ensureSets()}delete element inet nodecni masqueraded4 { 10.1.0.5 }\n`,
    ]);
  });
});

test('what is missing is named', () => {
  const rules = SHARED_RULES.map(({ chain }) => ({ rule: { chain, expr: [] } }));
  nft.mockReturnValue(JSON.stringify({ nftables: [{ chain: { name: 'postrouting' } }, ...rules] }));
  const missing = setsMasquerade.missing(owner, [cidr('10.1.0.5/32')]);
  expect(missing).toHaveLength(SHARED_RULES.length + 2);
  expect(missing[0]).toBe('in chain prerouting of table inet nodecni: fib daddr type local goto host_ports');
  expect(missing.slice(-2)).toEqual([
    'in set masqueraded4 of table inet nodecni: 10.1.0.5',
    'in set own_networks4 of table inet nodecni: 10.1.0.5 . 10.1.0.5',
  ]);
  nft.mockReturnValue('{}');
  expect(setsMasquerade.missing(owner, both)).toEqual(['since table inet nodecni is gone']);
});

test('what nobody lists goes with its forwarded ports, of this network alone', () => {
  const gone = { ...owner, containerId: 'gone' };
  nft.mockReturnValue(holding(owner, gone, { ...gone, network: 'other' }));
  setsMasquerade.removeUnlisted({ network: owner.network, present: () => [owner], warn: () => {} });
  expect(started().at(-1)).toBe(
    `${ensureSets()}delete element inet nodecni masqueraded4 { 10.1.0.5 }\ndelete element inet nodecni host_ports4 { port }\n`,
  );
});
