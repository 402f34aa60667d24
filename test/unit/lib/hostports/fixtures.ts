/** An attachment as most tests want it, and a nat table that lines can be played on. */
import type { PortRecord } from '../../../../lib/attachment/port-record.ts';
import type { Forwarding, Mapping } from '../../../../lib/hostports/forwarding.ts';
import { parseNat } from '../../../../lib/iptables/nat.ts';
import { sameRule } from '../../../../lib/iptables/rule.ts';

export function mapping(hostPort: number, over: Partial<Mapping> = {}): Mapping {
  const protocol = over.protocol ?? 'tcp';
  return { hostPort, containerPort: 80, protocol, spelling: protocol, hostIp: '', ...over };
}

export function forwarding(over: Partial<Forwarding> = {}): Forwarding {
  return {
    network: 'test',
    containerId: '1234',
    ifname: 'eth0',
    targets: { 4: '10.88.0.5/16' },
    backend: 'iptables',
    mappings: [mapping(8080)],
    snat: true,
    masqAll: false,
    markMasqBit: 13,
    conditions: { 4: [], 6: [] },
    ...over,
  };
}

export const traces = {
  bootId: 'boot',
  machineId: 'machine',
  hostNetns: '1',
  containerNetns: '77',
  netnsPath: '/run/netns/pod',
  hostLink: { name: 'veth1', mac: '02:00:00:00:00:01' },
  timeMs: Date.UTC(2026, 0, 31, 12),
  bootMs: 1000,
} as const;

export function record(over: Partial<PortRecord> = {}): PortRecord {
  return { ...forwarding(), state: 'added', ceded: [], traces, ...over };
}

export const dualStack = { targets: { 4: '10.88.0.5/16', 6: 'fd00:88::5/64' } } as const;

const BUILT_IN = ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'];

export type Table = Map<string, string[]>;

export function emptyTable(): Table {
  return new Map(BUILT_IN.map((chain) => [chain, []]));
}

/** Chains and rules as iptables-save would list them. */
export function listing(table: Table): string[] {
  return [...table].flatMap(([chain, rules]) => [`:${chain}`, ...rules.map((rule) => `${chain} ${rule}`)]);
}

/** Plays `lines` on a copy of `table` as iptables-restore --noflush does: all or (throwing) nothing. */
export function play(table: Table, lines: readonly string[]): Table {
  const next: Table = new Map([...table].map(([chain, rules]) => [chain, [...rules]]));
  for (const line of lines) playLine(next, line);
  return next;
}

function playLine(table: Table, line: string): void {
  const [, command = '', chain = '', rest = ''] = /^(-\w) (\S+) ?(?:1 )?(.*)$/.exec(line) ?? [];
  const rules = table.get(chain);
  if (command === '-N') {
    if (rules !== undefined) throw new Error(`chain exists: ${line}`);
    table.set(chain, []);
    return;
  }
  if (rules === undefined) throw new Error(`no chain: ${line}`);
  const at = rules.findIndex((rule) => sameRule(rule, rest));
  switch (command) {
    case '-A':
    case '-I':
      requireTarget(table, rest);
      rules.splice(command === '-A' ? rules.length : 0, 0, saved(rest));
      return;
    case '-C':
    case '-D':
      if (at === -1) throw new Error(`no such rule: ${line}`);
      if (command === '-D') rules.splice(at, 1);
      return;
    case '-X':
      requireUnused(table, chain);
      table.delete(chain);
      return;
    default:
      throw new Error(`unknown command: ${line}`);
  }
}

function requireTarget(table: Table, rule: string): void {
  const target = / -j (CNI-\S+)/.exec(rule)?.[1];
  if (target !== undefined && !table.has(target)) throw new Error(`no target: ${rule}`);
}

function requireUnused(table: Table, chain: string): void {
  const users = [...table.values()].flat().filter((rule) => rule.endsWith(`-j ${chain}`));
  if ((table.get(chain) ?? []).length + users.length > 0) throw new Error(`in use: ${chain}`);
}

/** The kernel prints no quotes where none are needed. */
function saved(rule: string): string {
  return parseNat(`-A X ${rule}`).get('X')?.[0]?.replace('"!"', '!') ?? '';
}
