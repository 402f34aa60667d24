/** What is started for an attachment in sets, and that a port in a map is never taken from whoever has it. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { run, ToolError } from '../../../../lib/exec.ts';
import { EMPTY } from '../../../../lib/firewall/rider.ts';
import { WITHOUT_UNDO } from '../../../../lib/hostports/backend.ts';
import { sets } from '../../../../lib/hostports/sets.ts';
import { elementsOf } from '../../../../lib/hostports/sets-elements.ts';
import { ensureSets, SHARED_RULES } from '../../../../lib/nft/sets.ts';
import type { NftElement } from '../../../../lib/nft/transaction.ts';
import { forwarding, mapping } from './fixtures.ts';

const nft = vi.mocked(run);

vi.mock(import('../../../../lib/exec.ts'), async (original) => ({
  ...(await original()),
  run: vi.fn(),
  runBeside: vi.fn(async (...args: Parameters<typeof run>) => nft(...args)),
  findTool: vi.fn(() => '/usr/sbin/nft'),
}));

const wanted = forwarding({ backend: 'sets' });

/** As `nft --json list` prints them, as far as they are read. */
function listing(elements: readonly NftElement[]): string {
  const concat = (text: string) => ({ concat: text.split(' . ') });
  const objects = elements.map(({ set, key, data, comment }) => {
    const elem = { elem: { val: concat(key), comment } };
    return data === '' ? { set: { name: set, elem: [elem] } } : { map: { name: set, elem: [[elem, concat(data)]] } };
  });
  return JSON.stringify({ nftables: [{ chain: { name: 'host_ports' } }, ...objects] });
}

const started = () => nft.mock.calls.map(([, args, options]) => options?.input ?? args.join(' '));
const LOOK = '--json list table inet nodecni';

function refuseOnce(stderr: string): void {
  nft.mockImplementationOnce(() => {
    throw new ToolError('nft', { exitCode: 1, stderr, stdout: '' }, '"nft" ended with status 1');
  });
}

beforeEach(() => void nft.mockReset());

test('ADD and DEL are one child each', async () => {
  await sets.add(WITHOUT_UNDO, wanted, { guard: 'expect' });
  await sets.remove([wanted]);
  expect(started()).toHaveLength(2);
  expect(started()[0]).toMatch(/^create element inet nodecni host_ports4 \{ tcp . 8080 comment/);
  expect(started()[1]).toMatch(/\ndelete element inet nodecni host_ports4 \{ tcp . 8080 \}\n/);
});

describe('ADD where the port is in the map', () => {
  const another = { ...wanted, containerId: 'another', targets: { 4: '10.88.0.9/16' } };

  beforeEach(() => refuseOnce('Error: Could not process rule: File exists'));

  test('is refused, and says how to free it', async () => {
    nft.mockReturnValue(listing(elementsOf(another)));
    await expect(sets.add(WITHOUT_UNDO, wanted, {})).rejects.toMatchObject({
      code: 107,
      message: 'cannot forward host port 8080/tcp: it leads to 10.88.0.9 . 80 already',
      details: expect.stringContaining(`nft delete element inet nodecni host_ports4 '{ tcp . 8080 }'`),
    });
    expect(started().slice(1)).toEqual([LOOK]);
  });

  test.each([
    ['of its own', wanted, {}],
    ['of the dead', another, { evicted: [another] }],
  ])('takes the place %s', async (_, holder, adding) => {
    nft.mockReturnValue(listing(elementsOf(holder)));
    await sets.add(WITHOUT_UNDO, wanted, adding);
    const [, look, script] = started();
    expect(look).toBe(LOOK);
    expect(script).toMatch(/delete element inet nodecni host_ports4 \{ tcp . 8080 \}\n.*create element/s);
  });
});

test('a failed ADD takes back what it made, and restores what it replaced', async () => {
  const former = { ...wanted, mappings: [mapping(9000)] };
  const undos: (() => void | Promise<void>)[] = [];
  const tx = { ...WITHOUT_UNDO, onFailure: (_: string, undo: () => void | Promise<void>) => void undos.push(undo) };
  await sets.add(tx, wanted, { former, guard: 'make' });
  nft.mockClear();
  for (const undo of undos) await undo();
  const [script = ''] = started();
  expect(script).toContain('delete element inet nodecni host_ports4 { tcp . 8080 }\n');
  expect(script).toContain('create element inet nodecni host_ports4 { tcp . 9000 ');
  expect(script).toContain('delete chain inet nodecni localnet_guard\n');
});

test('DEL of what is partly gone takes the rest, by its comment', async () => {
  refuseOnce('Error: Could not process rule: No such file or directory');
  const rest = elementsOf(wanted).filter(({ set }) => set === 'hairpins4');
  nft.mockReturnValue(listing(rest));
  await sets.remove([wanted]);
  const script = started().at(-1) ?? '';
  expect(script.replace(String(ensureSets()), '')).toBe(
    'delete element inet nodecni hairpins4 { 10.88.0.5 . 10.88.0.5, 127.0.0.1 . 10.88.0.5 }\n',
  );
});

test('what rides with it is in the same transaction', async () => {
  const element: NftElement = { set: 'masqueraded4', key: '10.88.0.5', data: '', comment: 'rides' };
  await sets.add(WITHOUT_UNDO, wanted, { rider: { ...EMPTY, sets: () => ({ added: [element] }) } });
  await sets.remove([wanted], { rider: { ...EMPTY, sets: () => ({ gone: [element] }) } });
  expect(started()).toEqual([
    expect.stringContaining('create element inet nodecni masqueraded4 { 10.88.0.5 comment "rides" }\n'),
    expect.stringContaining('delete element inet nodecni masqueraded4 { 10.88.0.5 }\n'),
  ]);
});

test('CHECK tells of the guard by the same look', () => {
  nft.mockReturnValue(listing(elementsOf(wanted)));
  const missing = sets.missing(wanted, { guarded: true });
  expect(missing[0]).toBe('the guard of 127.0.0.0/8');
  expect(missing).toHaveLength(1 + SHARED_RULES.length);
  expect(sets.missing(wanted)).toEqual(missing.slice(1));
  expect(started()).toEqual([LOOK, LOOK]);
});

test('what is found without a record is what carries the attachment’s comment', () => {
  const masquerade: NftElement[] = elementsOf(wanted).map((element) => ({
    ...element,
    set: 'own_networks4',
    data: '',
  }));
  nft.mockReturnValue(
    listing([...elementsOf({ ...wanted, ifname: 'net1', mappings: [mapping(9000)] }), ...masquerade]),
  );
  sets.removeFound(wanted, {});
  expect(started()).toEqual([LOOK]);
  nft.mockClear();
  sets.removeFound({ ...wanted, ifname: 'net1' }, {});
  expect(started().at(-1)).toContain('delete element inet nodecni host_ports4 { tcp . 9000 }\n');
});
