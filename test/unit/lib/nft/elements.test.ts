/** Reading sets and maps, and writing at first without a look. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { run, runBeside, ToolError } from '../../../../lib/exec.ts';
import {
  changeSets,
  changeSetsBeside,
  listSets,
  parseElements,
  type SetsPlan,
  together,
} from '../../../../lib/nft/elements.ts';
import { ensureSets } from '../../../../lib/nft/sets.ts';
import type { NftElement } from '../../../../lib/nft/transaction.ts';

vi.mock(import('../../../../lib/exec.ts'), async (original) => ({
  ...(await original()),
  run: vi.fn(),
  runBeside: vi.fn(),
}));

const nft = vi.mocked(run);
const beside = vi.mocked(runBeside);

beforeEach(() => {
  nft.mockReset();
  beside.mockReset();
});

/** As nft 1.0.6 prints it. */
const LISTING = `{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}, \
{"table": {"family": "inet", "name": "nodecni", "handle": 23}}, \
{"map": {"family": "inet", "name": "host_ports4", "table": "nodecni", "type": ["inet_proto", "inet_service"], "handle": 2, "map": "ipv4_addr . inet_service", "elem": [[{"elem": {"val": {"concat": ["tcp", 8080]}, "comment": "one"}}, {"concat": ["10.88.0.5", 80]}]]}}, \
{"set": {"family": "inet", "name": "excluded_ports4", "table": "nodecni", "type": ["inet_proto", "inet_service", "ipv4_addr"], "handle": 3, "flags": ["interval"], "elem": [{"elem": {"val": {"concat": ["tcp", {"range": [8192, 16383]}, {"prefix": {"addr": "198.51.100.0", "len": 24}}]}, "comment": "one"}}]}}, \
{"set": {"family": "inet", "name": "masqueraded4", "table": "nodecni", "type": "ipv4_addr", "handle": 6, "elem": ["10.88.0.7", {"elem": {"val": "10.88.0.5", "comment": "two"}}]}}, \
{"set": {"family": "inet", "name": "own_networks6", "table": "nodecni", "type": ["ipv6_addr", "ipv6_addr"], "handle": 14, "flags": ["interval"], "elem": [{"concat": ["fd00:88::6", {"prefix": {"addr": "::", "len": 0}}]}]}}, \
{"set": {"family": "inet", "name": "masqueraded6", "table": "nodecni", "type": "ipv6_addr", "handle": 13}}, \
{"chain": {"family": "inet", "table": "nodecni", "name": "host_ports", "handle": 15}}, \
{"rule": {"family": "inet", "table": "nodecni", "chain": "host_ports", "handle": 21, "expr": [{"dnat": {"family": "ip", "addr": {"map": {"key": {"concat": [{"payload": {"protocol": "ip", "field": "daddr"}}, {"meta": {"key": "l4proto"}}, {"payload": {"protocol": "th", "field": "dport"}}]}, "data": "@host_address_ports4"}}}}]}}, \
{"rule": {"family": "inet", "table": "nodecni", "chain": "postrouting", "handle": 27, "expr": [{"match": {"op": "==", "left": {"concat": [{"payload": {"protocol": "ip", "field": "saddr"}}, {"payload": {"protocol": "ip", "field": "daddr"}}]}, "right": "@hairpins4"}}, {"masquerade": null}]}}]}`;

test('parseElements() gives elements as nft prints them', () => {
  expect(parseElements(LISTING)).toEqual([
    { set: 'host_ports4', key: 'tcp . 8080', data: '10.88.0.5 . 80', comment: 'one' },
    { set: 'excluded_ports4', key: 'tcp . 8192-16383 . 198.51.100.0/24', data: '', comment: 'one' },
    { set: 'masqueraded4', key: '10.88.0.7', data: '', comment: '' },
    { set: 'masqueraded4', key: '10.88.0.5', data: '', comment: 'two' },
    { set: 'own_networks6', key: 'fd00:88::6 . ::/0', data: '', comment: '' },
  ]);
});

test('listSets() gives chains and rules as well', () => {
  nft.mockReturnValue(LISTING);
  const { chains, rules, elements } = listSets();
  expect([[...chains], elements.length]).toEqual([['host_ports'], 5]);
  expect(rules.map(({ text }) => text)).toEqual([
    'dnat ip to ip daddr . meta l4proto . th dport map @host_address_ports4',
    'ip saddr . ip daddr @hairpins4 masquerade',
  ]);
  expect(nft.mock.lastCall?.[1]).toEqual(['--json', 'list', 'table', 'inet', 'nodecni']);
});

describe.each([
  { where: 'changeSets()', change: async (plan: SetsPlan) => changeSets(plan), tool: nft },
  { where: 'changeSetsBeside()', change: changeSetsBeside, tool: beside },
])('$where', ({ change, tool }) => {
  const refusal = (stderr: string) => new ToolError('nft', { exitCode: 1, stderr, stdout: '' }, '"nft" ended');
  const guessed: NftElement = { set: 'masqueraded4', key: '10.1.0.5', data: '', comment: '' };
  const seen: NftElement = { ...guessed, key: '10.1.0.6' };
  const plan: SetsPlan = (listing) => ({ added: [listing === undefined ? guessed : seen] });
  const GUESSED = 'create element inet nodecni masqueraded4 { 10.1.0.5 }\n';
  const SEEN = `${ensureSets()}create element inet nodecni masqueraded4 { 10.1.0.6 }\n`;
  const LOOK = '--json list table inet nodecni';
  const inputs = () =>
    [...beside.mock.calls, ...nft.mock.calls].map(([, args, options]) => options?.input ?? args.join(' '));

  test('is one child where nothing stands in the way', async () => {
    await change(plan);
    expect(inputs()).toEqual([GUESSED]);
  });

  test.each(['Error: No such file or directory', 'Error: Could not process rule: File exists'])(
    'looks after it was refused: %s',
    async (stderr) => {
      tool.mockImplementationOnce(() => {
        throw refusal(stderr);
      });
      nft.mockImplementation((_, args) => (args.includes('list') ? LISTING : ''));
      await change(plan);
      expect(inputs()).toEqual([GUESSED, LOOK, SEEN]);
    },
  );

  test('looks first where nothing can be said without', async () => {
    nft.mockImplementation((_, args) => (args.includes('list') ? LISTING : ''));
    await change((listing) => listing && plan(listing));
    expect(inputs().sort()).toEqual([LOOK, SEEN].sort());
  });

  test('passes on what no look can help', async () => {
    tool.mockImplementation(() => {
      throw refusal('Error: Could not process rule: Operation not permitted');
    });
    await expect(change(plan)).rejects.toThrow(ToolError);
    expect(inputs()).toEqual([GUESSED]);
  });
});

test('two changes together are one, and look as soon as one of them has to', () => {
  const one: NftElement = { set: 'masqueraded4', key: '10.1.0.5', data: '', comment: '' };
  const other: NftElement = { ...one, key: '10.1.0.6' };
  const known: SetsPlan = () => ({ gone: [one], added: [other] });
  expect(together(known, () => ({ added: [one], guard: 'make' }))(undefined)).toEqual({
    gone: [one],
    added: [other, one],
    guard: 'make',
  });
  expect(together(known, () => undefined)(undefined)).toBeUndefined();
});
