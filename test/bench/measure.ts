/** Times whole processes, interleaved, so that a busy minute of the machine falls on all contestants alike. */

import { spawnSync } from 'node:child_process';

export interface Contestant {
  readonly name: string;
  readonly path: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly input: string;
}

export interface Timing {
  readonly name: string;
  readonly medianMs: number;
  readonly minMs: number;
  /** Median against the first contestant's. */
  readonly ratio: number;
}

const warmUpRounds = 5;

export function measure(contestants: readonly Contestant[], rounds: number): readonly Timing[] {
  const runs = contestants.map((contestant) => ({ contestant, durationsMs: [] as number[] }));
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const { contestant, durationsMs } of runs) {
      const durationMs = timeOnce(contestant);
      if (round >= 0) durationsMs.push(durationMs);
    }
  }
  const baseline = median(runs[0]?.durationsMs ?? []);
  return runs.map(({ contestant: { name }, durationsMs }) => {
    const medianMs = median(durationsMs);
    return { name, medianMs, minMs: Math.min(...durationsMs), ratio: medianMs / baseline };
  });
}

function timeOnce({ name, path, args, env, input }: Contestant): number {
  const start = process.hrtime.bigint();
  const { status, stderr, error } = spawnSync(path, args, { env, input, encoding: 'utf8' });
  const durationMs = Number(process.hrtime.bigint() - start) / 1e6;
  // A process that failed early would look fast.
  if (status !== 0) throw new Error(`cannot time ${name}: exit code ${status}: ${stderr}`, { cause: error });
  return durationMs;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
  return (upper + lower) / 2;
}
