/** Many pods at once: how long until all are up and down again, at what processor time, and how the single call fares. */

import { readFileSync } from 'node:fs';
import { inLanes, killPods } from '../support/attach.ts';
import { exec } from '../support/process.ts';
import type { Namespace } from '../support/world.ts';
import { quantile } from './measure.ts';
import type { BenchOptions, Section } from './section.ts';
import { cnitool, configure, morePods, portsFrom, type Side, usual, type Verb, withSides } from './sides.ts';
import { ms } from './table.ts';

const STORMS = [
  { pods: 24, width: 8 },
  { pods: 24, width: 32 },
  { pods: 100, width: 8 },
  { pods: 100, width: 32 },
];
const FIRST_PORT = 20_000;
/** A storm is many calls by itself. */
const SHARE_OF_ROUNDS = 0.15;

interface Storm {
  readonly wallMs: number;
  readonly cpuSeconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failures: number;
}

type Direction = 'up' | 'down';

interface Row extends Storm {
  readonly pods: number;
  readonly width: number;
  readonly direction: Direction;
  readonly side: string;
}

export function stormSections({ rounds }: BenchOptions): Promise<readonly Section[]> {
  return withSides(async (sides) => {
    for (const side of sides) configure(side, usual);
    const count = Math.max(1, Math.round(rounds * SHARE_OF_ROUNDS));
    const data: Row[] = [];
    for (const shape of STORMS) data.push(...(await measureStorm(sides, shape, count)));
    const rows = data.map(({ pods, width, direction, side, ...storm }) => [
      `${pods} pods, ${width} at a time`,
      direction,
      side,
      `${(storm.wallMs / 1000).toFixed(2)} s`,
      `${storm.cpuSeconds.toFixed(2)} s`,
      ms(storm.p50Ms),
      ms(storm.p99Ms),
      String(storm.failures),
    ]);
    return [
      {
        heading: 'Storm',
        rows: [['storm', 'way', 'side', 'wall', 'CPU', 'p50', 'p99', 'failed'], ...rows],
        note: `One port each, by cnitool; ${count} rounds, medians, failures of all. CPU is that of all processes.`,
        data,
      },
    ];
  });
}

async function measureStorm(
  sides: readonly Side[],
  { pods, width }: { pods: number; width: number },
  rounds: number,
): Promise<Row[]> {
  const seen = sides.map((side) => ({ side, up: [] as Storm[], down: [] as Storm[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { side, up, down } of seen) {
      const fresh = await morePods(side, pods);
      up.push(await storm(side, 'ADD', { pods: fresh, width }));
      down.push(await storm(side, 'DEL', { pods: fresh, width }));
      await killPods(fresh);
      side.world.pods.splice(-fresh.length);
    }
  }
  return (['up', 'down'] as const).flatMap((direction) =>
    seen.map(({ side, [direction]: storms }) => ({ pods, width, direction, side: side.name, ...summary(storms) })),
  );
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

async function storm(
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
