/** Targets: which number each is held against, and how close to it is reached. */

import { expect, test } from 'vitest';
import type { BySide } from '../../bench/compare.ts';
import type { Run } from '../../bench/machine.ts';
import type { Measured, Results } from '../../bench/results.ts';
import { OWN_START } from '../../bench/start.ts';
import { targetRows, targetsSection } from '../../bench/targets.ts';

const run: Run = {
  cpus: 2,
  cpuModel: 'abacus',
  kernel: '6.1',
  node: '26.0.0',
  nodecni: '0.1.0',
  reference: '1.9.1',
  tools: [],
  command: 'make bench',
  load: 0,
};

function measured<D>(data: D): Measured<D> {
  return { run, seconds: 1, data };
}

/** Ours against a reference of 100 ms. */
function sides(own: number, oneProcess = own): BySide {
  const timing = (medianMs: number) => ({ medianMs, minMs: medianMs, ratio: medianMs / 100 });
  return { nodecni: timing(own), 'nodecni, one process': timing(oneProcess), reference: timing(100) };
}

const start: Results['start'] = measured({
  rounds: 1,
  starts: [{ name: OWN_START, medianMs: 20, minMs: 20, ratio: 0.8 }],
  disk: { names: 6, executableBytes: 0, librariesBytes: 0, referenceBytes: 0 },
  bundle: {},
});

const chainRow = { backend: 'iptables', families: [4] } as const;
const chain: Results['chain'] = measured({
  rounds: 1,
  rows: [
    { ...chainRow, backend: 'nftables', ports: 1, verb: 'ADD', sides: sides(1) },
    { ...chainRow, ports: 20, verb: 'ADD', sides: sides(2) },
    { ...chainRow, ports: 0, verb: 'ADD', sides: sides(131, 100) },
    { ...chainRow, ports: 1, verb: 'ADD', sides: sides(90, 61) },
    { ...chainRow, ports: 0, verb: 'DEL', sides: sides(75, 60) },
    { ...chainRow, ports: 1, verb: 'DEL', sides: sides(50, 35) },
    { ...chainRow, ports: 1, verb: 'CHECK', sides: sides(160.04) },
    { ...chainRow, families: [4, 6], ports: 1, verb: 'ADD', sides: sides(108) },
    { ...chainRow, families: [4, 6], ports: 1, verb: 'DEL', sides: sides(61) },
    { ...chainRow, families: [4, 6], ports: 1, verb: 'CHECK', sides: sides(161) },
  ],
});

const growth: Results['growth'] = measured({
  rounds: 1,
  leases: [{ count: 400, verb: 'ADD', sides: sides(1) }],
  pods: [
    { count: 0, verb: 'ADD', sides: sides(40) },
    { count: 100, verb: 'ADD', sides: sides(70.4) },
    { count: 400, verb: 'DEL', sides: sides(1) },
    { count: 400, verb: 'ADD', sides: sides(46) },
  ],
});

const seen = { pods: 24, width: 8, rounds: 1, wallMs: 1, cpuSeconds: 1, p50Ms: 1, p99Ms: 1, failures: 0 } as const;
const storm: Results['storm'] = measured([
  { ...seen, width: 32, direction: 'up', side: 'nodecni', ratio: 9 },
  { ...seen, direction: 'up', side: 'reference', ratio: 1 },
  { ...seen, direction: 'up', side: 'nodecni', ratio: 0.95 },
  { ...seen, direction: 'down', side: 'nodecni', ratio: 0.51 },
]);

const processes = ['cnitool', 'bridge', 'ip', 'ip', 'iptables-restore', 'portmap', 'iptables-restore', 'conntrack'];
const call = {
  side: 'nodecni' as const,
  ports: 1,
  durationMs: 1,
  processes: processes.map((command) => ({ command, args: '', beginMs: 0, durationMs: 1 })),
};
const children: Results['children'] = measured([
  { ...call, ports: 0, verb: 'ADD', processes: [] },
  { ...call, verb: 'ADD' },
  { ...call, verb: 'CHECK', processes: call.processes.slice(0, 7) },
  { ...call, verb: 'DEL', processes: call.processes.slice(0, 5) },
]);

test('targetRows() finds each number in the results', () => {
  const rows = targetRows({ start, chain, growth, storm, children });
  expect(rows.map(({ what, atMost, seen, isReached }) => [what, atMost, seen, isReached])).toEqual([
    ['start of the executable / bare node', 0.8, 0.8, true],
    ['ADD, 1 port, empty node', 0.9, 0.9, true],
    ['ADD, 1 port, 100 pods', 0.7, 0.704, false],
    ['ADD, 1 port, 400 pods', 0.5, 0.46, true],
    ['ADD, no port, empty node', 1.3, 1.31, false],
    ['its floor: two starts of the executable / the reference’s ADD', undefined, 0.4, undefined],
    ['DEL, 1 port, empty node', 0.5, 0.5, true],
    ['DEL, no port, empty node', 0.75, 0.75, true],
    ['CHECK, 1 port, empty node', 1.6, 1.6, true],
    ['ADD, 400 pods / empty node, ours alone', 1.15, 1.15, true],
    ['storm of 24 pods, 8 at a time: up', 0.95, 0.95, true],
    ['storm of 24 pods, 8 at a time: down', 0.5, 0.51, false],
    ['ADD, 1 port: dual stack / IPv4, ours alone', 1.2, 1.2, true],
    ['CHECK, 1 port: dual stack / IPv4, ours alone', 1.2, 1.006, true],
    ['DEL, 1 port: dual stack / IPv4, ours alone', 1.2, 1.22, false],
    ['ADD, 1 port: child processes of our plugins', 4, 5, false],
    ['CHECK, 1 port: child processes of our plugins', 4, 4, true],
    ['DEL, 1 port: child processes of our plugins', 4, 3, true],
    ['one process: ADD, no port, empty node', 1, 1, true],
    ['one process: ADD, 1 port, empty node', 0.6, 0.61, false],
    ['one process: DEL, no port, empty node', 0.6, 0.6, true],
    ['one process: DEL, 1 port, empty node', 0.35, 0.35, true],
  ]);
});

test('targetsSection() rounds up, so that nothing looks reached that is not', () => {
  expect(targetsSection({ growth }).rows).toEqual([
    ['what', 'target', 'measured', 'reached'],
    ['ADD, 1 port, 100 pods', '≤ 0.7', '0.71', 'no'],
    ['ADD, 1 port, 400 pods', '≤ 0.5', '0.46', 'yes'],
    ['ADD, 400 pods / empty node, ours alone', '≤ 1.15', '1.15', 'yes'],
  ]);
});

test('targetRows() does not take what is missing for reached', () => {
  const rows = targetRows({ storm: measured([]) });
  expect(rows.map(({ seen, isReached }) => [seen, isReached])).toEqual([
    [undefined, false],
    [undefined, false],
  ]);
});
