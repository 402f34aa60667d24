/**
 * `make bench`: start-up of the executable next to the bare runtime and the Go plugin, and ADD and DEL in a full network
 * next to the reference's, taken turn by turn in one run.
 */

import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type LeaseTiming, measureLeases, renderLeases } from './leases.ts';
import { describeMachine } from './machine.ts';
import { type Contestant, measure, type Timing } from './measure.ts';
import { renderTable } from './table.ts';

const goLoopback = '.cache/peers/loopback';
const versionCall = {
  env: { CNI_COMMAND: 'VERSION' },
  input: '{"cniVersion":"1.1.0","name":"bench","type":"loopback"}',
};

const { values } = parseArgs({ options: { json: { type: 'boolean' }, rounds: { type: 'string', default: '60' } } });
const command = `make bench${values.json === true ? ' BENCH=--json' : ''}`;
const leaseRounds = Math.ceil(Number(values.rounds) / 4);
report(measure(contestants(), Number(values.rounds)), measureLeases(leaseRounds));

/** The first one is what the others are held against. */
function contestants(): readonly Contestant[] {
  const ours: readonly Contestant[] = [
    { name: 'node -e 0 (the same runtime, bare)', path: process.execPath, args: ['-e', '0'], env: {}, input: '' },
    { name: 'nodecni loopback, VERSION', path: 'dist/bin/loopback', args: [], ...versionCall },
  ];
  const go = { name: 'Go loopback 1.9.1, VERSION', path: goLoopback, args: [], ...versionCall };
  return existsSync(goLoopback) ? [...ours, go] : ours;
}

function report(timings: readonly Timing[], leases: readonly LeaseTiming[]): void {
  const machine = describeMachine();
  const text =
    values.json === true ? JSON.stringify({ ...machine, command, startUp: timings, leases }, null, 2) : render(timings);
  process.stdout.write(`${text}\n`);

  function render(rows: readonly Timing[]): string {
    const heading = `${machine.cpus} × ${machine.cpuModel}, Linux ${machine.kernel}, Node ${machine.node}, nodecni ${machine.nodecni}`;
    const rounds = `${values.rounds} rounds (${leaseRounds} with leases), each contestant once per round: ${command}`;
    return [heading, rounds, '', renderTable(rows), '', renderLeases(leases)].join('\n');
  }
}
