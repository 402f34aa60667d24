/** The rules against spoofed MAC addresses, to the word, and how they come and go. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { run, ToolError } from '../../../../lib/exec.ts';
import { linkNames } from '../../../../lib/linux/links.ts';
import {
  addSpoofCheck,
  missingSpoofRule,
  planOrphans,
  planRemoval,
  removeOrphanedSpoofChecks,
  removeSpoofChecks,
} from '../../../../lib/nft/mac-spoof.ts';

vi.mock(import('../../../../lib/exec.ts'), async (original) => ({ ...(await original()), run: vi.fn() }));
vi.mock(import('../../../../lib/linux/links.ts'), () => ({ linkNames: vi.fn(), parseLinkNames: vi.fn() }));
const nft = vi.mocked(run);

const check = { containerId: 'web', ifname: 'eth0', port: 'veth1', mac: '02:00:00:00:00:02' };

const meta = (port: string) => ({ match: { op: '==', left: { meta: { key: 'iifname' } }, right: port } });
const own = { match: { op: '==', left: { payload: { protocol: 'ether', field: 'saddr' } }, right: check.mac } };

interface Rule {
  readonly chain: string;
  readonly handle: number;
  readonly id: string;
  readonly expr: readonly object[];
}

const BASE: readonly Rule[] = [
  {
    chain: 'PREROUTING',
    handle: 4,
    id: 'web-eth0',
    expr: [meta('veth1'), { jump: { target: 'cni-br-iface-web-eth0' } }],
  },
  {
    chain: 'PREROUTING',
    handle: 9,
    id: 'other-eth0',
    expr: [meta('veth7'), { jump: { target: 'cni-br-iface-other-eth0' } }],
  },
];

const ALL: readonly Rule[] = [
  ...BASE,
  {
    chain: 'cni-br-iface-web-eth0',
    handle: 5,
    id: 'web-eth0',
    expr: [{ jump: { target: 'cni-br-iface-web-eth0-mac' } }],
  },
  { chain: 'cni-br-iface-web-eth0-mac', handle: 6, id: 'web-eth0', expr: [own, { return: null }] },
  { chain: 'cni-br-iface-web-eth0-mac', handle: 7, id: 'web-eth0', expr: [{ drop: null }] },
];

/** As `nft --json list` prints them. */
function listing(rules: readonly Rule[]): string {
  const chains = new Set(['PREROUTING', ...rules.map(({ chain }) => chain)]);
  const objects = [
    ...[...chains].map((name) => ({ chain: { family: 'bridge', table: 'nat', name } })),
    ...rules.map(({ id, ...rule }) => ({ rule: { ...rule, comment: `macspoofchk-${id}` } })),
  ];
  return JSON.stringify({ nftables: objects });
}

const ADDED = [
  'add table bridge nat',
  'add chain bridge nat PREROUTING { type filter hook prerouting priority -300; policy accept ; }',
  'create chain bridge nat cni-br-iface-web-eth0',
  'create chain bridge nat cni-br-iface-web-eth0-mac',
  'add rule bridge nat PREROUTING meta iifname veth1 jump cni-br-iface-web-eth0 comment "macspoofchk-web-eth0"',
  'add rule bridge nat cni-br-iface-web-eth0 jump cni-br-iface-web-eth0-mac comment "macspoofchk-web-eth0"',
  'add rule bridge nat cni-br-iface-web-eth0-mac ether saddr 02:00:00:00:00:02 return comment "macspoofchk-web-eth0"',
  'add rule bridge nat cni-br-iface-web-eth0-mac drop comment "macspoofchk-web-eth0"',
];

function gone(id: string): string[] {
  const chains = [`cni-br-iface-${id}`, `cni-br-iface-${id}-mac`];
  return ['add', 'flush', 'delete'].flatMap((verb) => chains.map((chain) => `${verb} chain bridge nat ${chain}`));
}

const REMOVED = ['delete rule bridge nat PREROUTING handle 4', ...gone('web-eth0')];

function fails(stderr: string): never {
  throw new ToolError('nft', { exitCode: 1, stderr, stdout: '' }, 'it failed');
}

/** The scripts that were sent, line by line. */
function sent(): string[][] {
  const inputs = nft.mock.calls.flatMap(([, , options]) => options?.input ?? []);
  return inputs.map((text) => text.trimEnd().split('\n'));
}

beforeEach(() => {
  nft.mockReset().mockImplementation((_tool, args) => listing(args.includes('chain') ? BASE : ALL));
  vi.mocked(linkNames).mockReturnValue(new Set(['veth1', 'veth7']));
});

describe('addSpoofCheck()', () => {
  test('is one transaction', () => {
    addSpoofCheck(check);
    expect(nft).toHaveBeenCalledTimes(1);
    expect(sent()).toEqual([ADDED]);
  });

  test('replaces the rules of an earlier attempt in one as well', () => {
    nft.mockImplementationOnce(() => fails('Error: Could not process rule: File exists\n'));
    addSpoofCheck(check);
    expect(sent()).toEqual([ADDED, [...REMOVED, ...ADDED]]);
  });

  test('fails with anything else', () => {
    nft.mockImplementation(() => fails('Error: Operation not permitted\n'));
    expect(() => addSpoofCheck(check)).toThrow('not permitted');
    expect(nft).toHaveBeenCalledTimes(1);
  });

  test.each([
    { what: 'a character that nft has no form for', over: { ifname: 'eth0;' } },
    { what: 'more than a comment holds', over: { containerId: 'x'.repeat(120) } },
  ])('refuses a name with $what', ({ over }) => {
    expect(() => addSpoofCheck({ ...check, ...over })).toThrow(
      expect.objectContaining({ code: 7, message: expect.stringContaining('cannot name the rules') }),
    );
    expect(nft).not.toHaveBeenCalled();
  });
});

describe('removeSpoofChecks()', () => {
  test('takes jump and chains away', () => {
    removeSpoofChecks([check]);
    expect(sent()).toEqual([REMOVED]);
  });

  test('is done where there is no table', () => {
    nft.mockImplementation(() => fails('Error: No such file or directory\n'));
    removeSpoofChecks([check]);
    expect(nft).toHaveBeenCalledTimes(1);
  });

  test('minds no name that never had rules, and needs no look for nobody', () => {
    removeSpoofChecks([{ containerId: 'web', ifname: 'eth0;' }]);
    expect(sent()).toEqual([]);
    nft.mockClear();
    removeSpoofChecks([]);
    expect(nft).not.toHaveBeenCalled();
  });

  test('takes every jump of one that was added twice', () => {
    const jump = { chain: 'PREROUTING', comment: 'macspoofchk-web-eth0', text: '' };
    const twice = [4, 12].map((handle) => ({ ...jump, handle }));
    const lines = String(planRemoval([check], twice)).split('\n');
    expect(lines.slice(0, 2)).toEqual([4, 12].map((handle) => `delete rule bridge nat PREROUTING handle ${handle}`));
  });
});

describe('missingSpoofRule()', () => {
  test('is undefined when all is there', () => {
    expect(missingSpoofRule(check)).toBeUndefined();
  });
  test.each([
    [4, 'meta iifname veth1 jump cni-br-iface-web-eth0'],
    [5, 'jump cni-br-iface-web-eth0-mac'],
    [6, 'ether saddr 02:00:00:00:00:02 return'],
    [7, 'drop'],
  ])('names the one with handle %i', (handle, rule) => {
    nft.mockReturnValue(listing(ALL.filter((one) => one.handle !== handle)));
    expect(missingSpoofRule(check)).toBe(rule);
  });
  test('names the first when there is no table, and a rule for another address', () => {
    expect(missingSpoofRule({ ...check, mac: '02:00:00:00:00:77' })).toContain('ether saddr 02:00:00:00:00:77');
    nft.mockImplementation(() => fails('Error: No such file or directory\n'));
    expect(missingSpoofRule(check)).toContain('iifname veth1');
  });
});

describe('rules of ports that are gone', () => {
  test('are taken away, those of others stay', () => {
    vi.mocked(linkNames).mockReturnValue(new Set(['veth7']));
    removeOrphanedSpoofChecks();
    expect(sent()).toEqual([REMOVED]);
  });

  const jump = (port: string, handle: number) => ({
    chain: 'PREROUTING',
    comment: 'macspoofchk-web-eth0',
    text: `meta iifname ${port} jump cni-br-iface-web-eth0`,
    handle,
  });

  test('leave the chains that another jump leads to', () => {
    expect(String(planOrphans([jump('gone', 4), jump('veth1', 8)], new Set(['veth1'])))).toBe(
      'delete rule bridge nat PREROUTING handle 4\n',
    );
  });

  test('nobody else’s rules are such', () => {
    const foreign = { ...jump('gone', 3), comment: 'mine' };
    expect(String(planOrphans([foreign], new Set()))).toBe('');
    nft.mockImplementation(() => fails('Error: No such file or directory\n'));
    removeOrphanedSpoofChecks();
    expect(sent()).toEqual([]);
  });
});
