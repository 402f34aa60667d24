/** The iptables backend against tables of its own: what goes into one call, and what is taken back. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { run, runBeside, ToolError } from '../../../../lib/exec.ts';
import { EMPTY, type Rider } from '../../../../lib/firewall/rider.ts';
import { WITHOUT_UNDO } from '../../../../lib/hostports/backend.ts';
import { iptables } from '../../../../lib/hostports/iptables.ts';
import type { NatPlan } from '../../../../lib/iptables/nat.ts';
import { dualStack, emptyTable, forwarding, listing, play, type Table } from './fixtures.ts';

vi.mock(import('../../../../lib/exec.ts'), async (original) => ({
  ...(await original()),
  findTool: vi.fn((tool) => `/sbin/${tool}`),
  run: vi.fn(),
  runBeside: vi.fn(),
}));
vi.mock(import('../../../../lib/attachment/port-record-store.ts'), async (original) => ({
  ...(await original()),
  readRecords: vi.fn(() => []),
  readSiblings: vi.fn(() => []),
}));

let tables: Record<string, Table>;
/** Tools, as they were called. */
let calls: string[] = [];

beforeEach(() => {
  tables = { iptables: emptyTable(), ip6tables: emptyTable() };
  calls = [];
  vi.mocked(run).mockImplementation(tool);
  vi.mocked(runBeside).mockImplementation(async (...call) => tool(...call));
});

/** iptables-save and iptables-restore on `tables`, the table nat alone. */
const tool: typeof run = (name, _args, { input = '' } = {}) => {
  calls.push(name);
  const [family = '', verb] = name.split('-');
  const table = tables[family] ?? emptyTable();
  if (verb === 'save')
    return listing(table)
      .map((line) => (line.startsWith(':') ? `${line} -` : `-A ${line}`))
      .join('\n');
  try {
    tables[family] = play(
      table,
      input.split('\n').filter((line) => line.startsWith('-')),
    );
    return '';
  } catch (error) {
    throw new ToolError(name, { exitCode: 1, stderr: String(error), stdout: '' }, 'refused');
  }
};

const lines = () => [...listing(tables.iptables ?? emptyTable()), ...listing(tables.ip6tables ?? emptyTable())];
const own = (part: string) => lines().filter((line) => line.includes(part));

/** A rule in each family's POSTROUTING that goes along. */
const rule = { 4: '-s 10.88.0.5/32 -j MASQUERADE', 6: '-s fd00:88::5/128 -j MASQUERADE' };

function rider(change: '-A' | '-D'): Rider {
  return {
    ...EMPTY,
    nat:
      (family): NatPlan =>
      (table) => {
        const isThere = table?.get('POSTROUTING')?.includes(rule[family]) ?? change === '-D';
        return isThere === (change === '-D') ? [`${change} POSTROUTING ${rule[family]}`] : [];
      },
  };
}

describe('what rides along', () => {
  test('is added in the same call of each family, and in one that has no ports, too', async () => {
    await iptables.add(WITHOUT_UNDO, forwarding(), {});
    calls = [];
    await iptables.add(WITHOUT_UNDO, forwarding({ containerId: '5678' }), { rider: rider('-A') });
    expect(calls).toEqual(['iptables-restore', 'ip6tables-restore']);
    expect(own('MASQUERADE').filter((line) => line.startsWith('POSTROUTING -s'))).toEqual([
      `POSTROUTING ${rule[4]}`,
      `POSTROUTING ${rule[6]}`,
    ]);
  });

  test('is added by a second look where the first guess was wrong', async () => {
    await iptables.add(WITHOUT_UNDO, forwarding(dualStack), { rider: rider('-A') });
    expect(calls.toSorted()).toEqual([
      'ip6tables-restore',
      'ip6tables-restore',
      'ip6tables-save',
      'iptables-restore',
      'iptables-restore',
      'iptables-save',
    ]);
    expect(own(rule[4])).toHaveLength(1);
    expect(own(rule[6])).toHaveLength(1);
    expect(own('DNAT --to')).toHaveLength(2);
  });

  test('is not taken back with the ports: that is somebody else’s business', async () => {
    await iptables.add(WITHOUT_UNDO, forwarding(), {});
    const ways: (() => void | Promise<void>)[] = [];
    const tx = {
      ...WITHOUT_UNDO,
      onFailure: (_what: string, undo: () => void | Promise<void>) => void ways.push(undo),
    };
    const before = lines();
    await iptables.add(tx, forwarding({ containerId: '5678' }), { rider: rider('-A') });
    for (const undo of ways.reverse()) await undo();
    expect(lines().filter((line) => !before.includes(line))).toEqual([
      `POSTROUTING ${rule[4]}`,
      `POSTROUTING ${rule[6]}`,
    ]);
  });

  test('is removed in the same call, and where there are no ports, too', async () => {
    await iptables.add(WITHOUT_UNDO, forwarding(), { rider: rider('-A') });
    calls = [];
    await iptables.remove([forwarding()], { rider: rider('-D') });
    expect(calls).toEqual(['iptables-restore', 'ip6tables-restore']);
    expect([...own('DNAT --to'), ...own(rule[4]), ...own(rule[6])]).toEqual([]);
  });

  test('is removed though the ports are gone, and the other way round', async () => {
    await iptables.add(WITHOUT_UNDO, forwarding(), { rider: rider('-A') });
    await iptables.remove([forwarding()]);
    await iptables.remove([forwarding()], { rider: rider('-D') });
    expect([...own(rule[4]), ...own(rule[6])]).toEqual([]);
    await iptables.add(WITHOUT_UNDO, forwarding(), {});
    await iptables.remove([forwarding()], { rider: rider('-D') });
    expect(own('DNAT --to')).toEqual([]);
  });

  test('does not keep the rest from being removed where one family fails', async () => {
    await iptables.add(WITHOUT_UNDO, forwarding(dualStack), { rider: rider('-A') });
    vi.mocked(runBeside).mockImplementation(async (name, ...rest) => {
      if (name.startsWith('iptables')) throw new Error('broken');
      return tool(name, ...rest);
    });
    await expect(iptables.remove([forwarding(dualStack)], { rider: rider('-D') })).rejects.toThrow('broken');
    expect([own(rule[4]).length, own(rule[6]).length]).toEqual([1, 0]);
  });
});
