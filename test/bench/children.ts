/** Every process of one ADD and one DEL, when it ran and for how long, as strace(1) sees them: the same for both sides. */

import { readFileSync, rmSync } from 'node:fs';
import { ms } from './format.ts';
import { timeOnce } from './measure.ts';
import type { Part, Section } from './part.ts';
import { type SideName, sideNames, usual } from './shapes.ts';
import { cnitool, configure, portsFrom, type Side, type Verb, withSides } from './sides.ts';
import { parseTrace, type TracedProcess } from './trace.ts';

const OWN_PORT = 10_000;
/** Until nothing is left that only first calls do. */
const WARM_UP_ROUNDS = 3;
const VERBS: readonly Verb[] = ['ADD', 'CHECK', 'DEL'];

export interface Call {
  readonly side: SideName;
  readonly ports: number;
  readonly verb: Verb;
  /** Without strace. */
  readonly durationMs: number;
  readonly processes: readonly TracedProcess[];
}

export const children: Part<readonly Call[]> = {
  measure: () =>
    withSides(sideNames, async (sides) => {
      for (const side of sides) configure(side, usual);
      return [0, 1].flatMap((ports) => sides.flatMap((side) => traceCalls(side, ports)));
    }),
  render: (calls) => [renderCounts(calls), ...calls.filter(({ ports }) => ports === 1).map(renderProcesses)],
};

function traceCalls(side: Side, ports: number): Call[] {
  const options = { pod: side.pod, ports: portsFrom(OWN_PORT, ports) };
  const untraced = VERBS.map(() => Number.NaN);
  for (let round = 0; round < WARM_UP_ROUNDS; round++) {
    for (const [at, verb] of VERBS.entries()) untraced[at] = timeOnce(side.name, cnitool(side, verb, options));
  }
  return VERBS.map((verb, at) => {
    const processes = trace(side, cnitool(side, verb, options));
    return { side: side.name, ports, verb, durationMs: untraced[at] ?? Number.NaN, processes };
  });
}

function trace({ name, world }: Side, { path, args, env }: ReturnType<typeof cnitool>): readonly TracedProcess[] {
  const file = `${world.folder}/trace`;
  const options = ['-f', '-q', '-ttt', '-s', '200', '-e', 'trace=execve,exit_group', '-e', 'signal=none', '-o', file];
  timeOnce(`strace of ${name}`, { path: '/usr/bin/strace', args: [...options, path, ...args], env });
  const text = readFileSync(file, 'utf8');
  rmSync(file);
  return parseTrace(text);
}

/** Plugins are what cnitool starts, and an IPAM plugin what an interface plugin starts; tools are the others. */
export function toolsOf({ processes }: Call): number {
  return processes.filter(({ command }) => !/^(cnitool|bridge|portmap|host-local)$/.test(command)).length;
}

function renderCounts(calls: readonly Call[]): Section {
  return {
    heading: 'Processes',
    rows: [
      ['side', 'ports', 'verb', 'plugins', 'tools', 'wall'],
      ...calls.map((call) => {
        const plugins = call.processes.length - toolsOf(call) - 1;
        return [call.side, `${call.ports}`, call.verb, `${plugins}`, `${toolsOf(call)}`, ms(call.durationMs)];
      }),
    ],
    note: 'Wall is that of one call without strace.',
  };
}

function renderProcesses({ side, verb, processes, durationMs }: Call): Section {
  return {
    heading: `${verb} of ${side}, process by process`,
    rows: [
      ['process', 'begins', 'takes'],
      ...processes.map(({ command, args, beginMs, durationMs: takes }) => [
        `\`${[command, args].join(' ').slice(0, 90).trimEnd()}\``,
        ms(beginMs),
        ms(takes),
      ]),
    ],
    note: `Under strace, which makes everything slower: without it the call took ${ms(durationMs)}.`,
  };
}
