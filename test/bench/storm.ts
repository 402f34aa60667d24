/** Many pods at once: how long until all are up and down again, at what processor time, and how the single call fares. */

import { readFileSync } from 'node:fs';
import { inLanes, killPods } from '../support/attach.ts';
import { exec } from '../support/process.ts';
import type { Namespace } from '../support/world.ts';
import { ms, ratio } from './format.ts';
import { quantile } from './measure.ts';
import type { Part, Section } from './part.ts';
import { type SideName, usual } from './shapes.ts';
import { cnitool, configure, morePods, portsFrom, type Side, type Verb, withSides } from './sides.ts';

const SIDES: readonly SideName[] = ['nodecni', 'nodecni, one process', 'reference'];
/** A storm is many calls by itself. */
const STORMS = [
  { pods: 24, width: 8, shareOfRounds: 0.25 },
  { pods: 24, width: 32, shareOfRounds: 0.15 },
  { pods: 100, width: 8, shareOfRounds: 0.05 },
  { pods: 100, width: 32, shareOfRounds: 0.05 },
];
const FIRST_PORT = 20_000;

interface Storm {
  readonly wallMs: number;
  readonly cpuSeconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failures: number;
}

export interface StormRow extends Storm {
  readonly pods: number;
  readonly width: number;
  readonly rounds: number;
  readonly direction: 'up' | 'down';
  readonly side: SideName;
  /** Of wall to the reference's. */
  readonly ratio: number;
}

export const storm: Part<readonly StormRow[]> = {
  measure: ({ rounds }) =>
    withSides(SIDES, async (sides) => {
      for (const side of sides) configure(side, usual);
      const rows: StormRow[] = [];
      for (const { pods, width, shareOfRounds } of STORMS) {
        const count = Math.max(1, Math.round(rounds * shareOfRounds));
        rows.push(...(await measureStorm(sides, { pods, width, rounds: count })));
      }
      return rows;
    }),
  render: (rows) => [render(rows)],
};

function render(rows: readonly StormRow[]): Section {
  return {
    heading: 'Storm',
    rows: [
      ['storm', 'way', 'side', 'wall', 'ratio', 'CPU', 'p50', 'p99', 'failed', 'rounds'],
      ...rows.map(({ pods, width, direction, side, rounds, ...seen }) => [
        `${pods} pods, ${width} at a time`,
        direction,
        side,
        `${(seen.wallMs / 1000).toFixed(2)} s`,
        ratio(seen.ratio),
        `${seen.cpuSeconds.toFixed(2)} s`,
        ms(seen.p50Ms),
        ms(seen.p99Ms),
        String(seen.failures),
        String(rounds),
      ]),
    ],
    note: 'One port each, by cnitool; medians of the rounds, failures of all. CPU is that of all processes.',
  };
}

type Shape = Pick<StormRow, 'pods' | 'width' | 'rounds'>;

async function measureStorm(sides: readonly Side[], shape: Shape): Promise<StormRow[]> {
  const seen = sides.map((side) => ({ side, up: [] as Storm[], down: [] as Storm[] }));
  for (let round = 0; round < shape.rounds; round++) {
    for (const { side, up, down } of seen) {
      const pods = await morePods(side, shape.pods);
      up.push(await runStorm(side, 'ADD', { pods, width: shape.width }));
      down.push(await runStorm(side, 'DEL', { pods, width: shape.width }));
      await killPods(pods);
      side.world.pods.splice(-pods.length);
    }
  }
  return (['up', 'down'] as const).flatMap((direction) => {
    const storms = seen.map(({ side: { name }, [direction]: ofSide }) => ({ side: name, ...summary(ofSide) }));
    const baseMs = storms.find(({ side }) => side === 'reference')?.wallMs ?? Number.NaN;
    return storms.map((seen) => ({ ...shape, direction, ...seen, ratio: seen.wallMs / baseMs }));
  });
}

function summary(storms: readonly Storm[]): Storm {
  const median = (key: keyof Storm) =>
    quantile(
      storms.map(({ [key]: value }) => value),
      0.5,
    );
  return {
    wallMs: median('wallMs'),
    cpuSeconds: median('cpuSeconds'),
    p50Ms: median('p50Ms'),
    p99Ms: median('p99Ms'),
    failures: storms.reduce((sum, { failures }) => sum + failures, 0),
  };
}

async function runStorm(
  side: Side,
  verb: Verb,
  { pods, width }: { pods: readonly Namespace[]; width: number },
): Promise<Storm> {
  const cpuBefore = childrenCpuSeconds();
  const start = process.hrtime.bigint();
  const calls = await inLanes([...pods.entries()], width, ([index, pod]) => {
    const { path, args, env } = cnitool(side, verb, { pod, ports: portsFrom(FIRST_PORT + index, 1) });
    return exec([path, ...args], { env, timeoutMs: 120_000 });
  });
  const wallMs = Number(process.hrtime.bigint() - start) / 1e6;
  const durations = calls.map(({ durationMs }) => durationMs);
  return {
    wallMs,
    cpuSeconds: childrenCpuSeconds() - cpuBefore,
    p50Ms: quantile(durations, 0.5),
    p99Ms: quantile(durations, 0.99),
    failures: calls.filter(({ exitCode }) => exitCode !== 0).length,
  };
}

/** Kernel clock ticks a second, on every Linux that we know. */
const TICKS = 100;

/** Of all descendants that were waited for: cutime and cstime of proc(5). */
function childrenCpuSeconds(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[13]) + Number(fields[14])) / TICKS;
}
