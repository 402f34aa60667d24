/** Reading what nft lists, and writing although others change it at the same time. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { run, ToolError } from '../../../../lib/exec.ts';
import { applyNft, applyNftBeside, list, listTables, parseListing } from '../../../../lib/nft/nft.ts';
import { NftTransaction } from '../../../../lib/nft/transaction.ts';

vi.mock(import('../../../../lib/exec.ts'), async (original) => {
  const run = vi.fn();
  return { ...(await original()), run, runBeside: async (...call) => run(...call) };
});

const nft = vi.mocked(run);

beforeEach(() => void nft.mockReset());

function refusal(stderr: string): ToolError {
  return new ToolError('nft', { exitCode: 1, stderr, stdout: '' }, '"nft" ended with status 1');
}

/** As nft 1.0.6 prints it. */
const LISTING = `{"nftables": [{"metainfo": {"version": "1.0.6", "release_name": "Lester Gooch #5", "json_schema_version": 1}}, \
{"table": {"family": "ip", "name": "cni_hostport", "handle": 1}}, \
{"chain": {"family": "ip", "table": "cni_hostport", "name": "prerouting", "handle": 2, "type": "nat", "hook": "prerouting", "prio": -100, "policy": "accept"}}, \
{"chain": {"family": "ip", "table": "cni_hostport", "name": "hostports", "handle": 1}}, \
{"rule": {"family": "ip", "table": "cni_hostport", "chain": "prerouting", "handle": 3, "expr": [{"match": {"op": "==", "left": {"fib": {"result": "type", "flags": ["daddr"]}}, "right": "local"}}, {"jump": {"target": "hostports_all"}}]}}, \
{"rule": {"family": "ip", "table": "cni_hostport", "chain": "hostports", "handle": 4, "comment": "abc", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "192.0.2.1"}}, {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}}, "right": 8080}}, {"dnat": {"addr": "10.1.0.5", "port": 80}}]}}, \
{"rule": {"family": "ip", "table": "cni_hostport", "chain": "hostports", "handle": 5, "comment": "v6", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}, {"dnat": {"addr": "fd00::5", "port": 80}}]}}, \
{"rule": {"family": "ip", "table": "cni_hostport", "chain": "masq_checks", "handle": 6, "comment": "x", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "10.1.0.5"}}, {"match": {"op": "!=", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": {"prefix": {"addr": "10.1.0.0", "len": 24}}}}, {"masquerade": null}]}}, \
{"rule": {"family": "ip", "table": "cni_hostport", "chain": "masquerading", "handle": 7, "expr": [{"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}}, {"masquerade": null}]}}, \
{"rule": {"family": "ip", "table": "cni_hostport", "chain": "odd", "handle": 8, "expr": [{"counter": {"packets": 0, "bytes": 0}}, {"return": null}]}}]}`;

test('parseListing() gives rules as nft prints them', () => {
  const { chains, rules } = parseListing(LISTING);
  expect([...chains]).toEqual(['prerouting', 'hostports']);
  expect(rules.map(({ chain, handle, comment, text }) => [chain, handle, comment, text])).toEqual([
    ['prerouting', 3, '', 'fib daddr type local jump hostports_all'],
    ['hostports', 4, 'abc', 'ip daddr 192.0.2.1 udp dport 8080 dnat to 10.1.0.5:80'],
    ['hostports', 5, 'v6', 'tcp dport 22 dnat to [fd00::5]:80'],
    ['masq_checks', 6, 'x', 'ip saddr 10.1.0.5 ip daddr != 10.1.0.0/24 masquerade'],
    ['masquerading', 7, '', 'ct status dnat masquerade'],
    ['odd', 8, '', '{"counter":{"packets":0,"bytes":0}} return'],
  ]);
});

describe('list()', () => {
  test('asks for the table, or for one chain', () => {
    nft.mockReturnValue(LISTING);
    list('ip cni_hostport');
    list('inet cni_plugins_masquerade', 'masq_checks');
    expect(nft.mock.calls.map(([, args]) => args.join(' '))).toEqual([
      '--json list table ip cni_hostport',
      '--json list chain inet cni_plugins_masquerade masq_checks',
    ]);
  });

  test.each([
    ['a table that is not there', 'Error: No such file or directory\nlist table ip x\n              ^\n'],
    ['a kernel without nf_tables', 'netlink: Error: cache initialization failed: Protocol not supported\n'],
  ])('finds nothing in %s', (_, stderr) => {
    nft.mockImplementation(() => {
      throw refusal(stderr);
    });
    expect(list('ip x').rules).toEqual([]);
  });

  test('says what else kept it from looking', () => {
    nft.mockImplementation(() => {
      throw refusal('netlink: Error: cache initialization failed: Operation not permitted\n');
    });
    expect(() => list('ip x')).toThrow(
      'nft failed: netlink: Error: cache initialization failed: Operation not permitted',
    );
  });
});

test('listTables() names them by family', () => {
  nft.mockReturnValue(
    '{"nftables": [{"metainfo": {}}, {"table": {"family": "ip6", "name": "kube-proxy", "handle": 1}}]}',
  );
  expect(listTables()).toEqual(['ip6 kube-proxy']);
});

describe.each([
  ['applyNft()', async (plan: Parameters<typeof applyNft>[0]) => applyNft(plan)],
  ['applyNftBeside()', applyNftBeside],
])('%s', (_, apply) => {
  const deletion = (handle: number) => new NftTransaction('ip t').deleteRule({ chain: 'c', handle });

  test('starts nothing for nothing', async () => {
    await apply(() => [new NftTransaction('ip t')]);
    expect(nft).not.toHaveBeenCalled();
  });

  test('sends all tables as one', async () => {
    await apply(() => [deletion(1), new NftTransaction('ip6 t').flushChain('c')]);
    expect(nft.mock.calls).toEqual([
      ['nft', ['-f', '-'], { input: 'delete rule ip t c handle 1\nflush chain ip6 t c\n' }],
    ]);
  });

  test('plans again when a handle is gone', async () => {
    nft.mockImplementationOnce(() => {
      throw refusal('/dev/stdin:1:46-48: Error: Could not process rule: No such file or directory\n');
    });
    const handles = [1, 2];
    await apply(() => [deletion(handles.shift() ?? 0)]);
    expect(nft.mock.calls.map(([, , options]) => options?.input)).toEqual([
      'delete rule ip t c handle 1\n',
      'delete rule ip t c handle 2\n',
    ]);
  });

  test('does not go on for ever', async () => {
    nft.mockImplementation(() => {
      throw refusal('Error: Could not process rule: No such file or directory\n');
    });
    await expect(apply(() => [deletion(1)])).rejects.toThrow('No such file or directory');
    expect(nft).toHaveBeenCalledTimes(20);
  });

  test('does not repeat what was refused for another reason', async () => {
    nft.mockImplementation(() => {
      throw refusal('Error: Could not process rule: Operation not permitted\n');
    });
    await expect(apply(() => [deletion(1)])).rejects.toThrow('Operation not permitted');
    expect(nft).toHaveBeenCalledTimes(1);
  });
});
