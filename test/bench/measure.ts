/** Times whole processes, interleaved, so that a busy minute of the machine falls on all contestants alike. */

import { spawnSync } from 'node:child_process';

export interface ProcessCall {
  readonly path: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** Of many durations in milliseconds. */
export interface Timing {
  readonly medianMs: number;
  readonly minMs: number;
}

/** Milliseconds from start to end. Throws when it fails: a process that failed early would look fast. */
export function timeOnce(what: string, { path, args, env, input }: ProcessCall): number {
  const start = process.hrtime.bigint();
  const { status, stdout, stderr, error } = spawnSync(path, args, { env, input: input ?? '', encoding: 'utf8' });
  const durationMs = Number(process.hrtime.bigint() - start) / 1e6;
  if (status !== 0) throw new Error(`cannot time ${what}: status ${status}: ${stdout}${stderr}`, { cause: error });
  return durationMs;
}

/**
 * Lets each contestant perform once per round, after `warmUp` rounds that do not count; a performance is a duration for
 * each of its parts. Each begins a round in turn: what one leaves the kernel to do falls on whoever comes next.
 */
export function interleave<C, P extends string>(
  contestants: readonly C[],
  { rounds, warmUp }: { rounds: number; warmUp: number },
  perform: (contestant: C) => Readonly<Record<P, number>>,
): Map<C, Record<P, Timing>> {
  const seen = new Map(contestants.map((contestant) => [contestant, [] as Readonly<Record<P, number>>[]]));
  for (let round = -warmUp; round < rounds; round++) {
    for (const contestant of rotate(contestants, round + warmUp)) {
      const performance = perform(contestant);
      if (round >= 0) seen.get(contestant)?.push(performance);
    }
  }
  return new Map([...seen].map(([contestant, performances]) => [contestant, timingsOf(performances)]));
}

function rotate<T>(items: readonly T[], by: number): T[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

function timingsOf<P extends string>(performances: readonly Readonly<Record<P, number>>[]): Record<P, Timing> {
  const parts = Object.keys(performances[0] ?? {}) as P[];
  const entries = parts.map((part) => [part, timingOf(performances.map((performance) => performance[part]))]);
  return Object.fromEntries(entries) as Record<P, Timing>;
}

export function timingOf(durationsMs: readonly number[]): Timing {
  return { medianMs: quantile(durationsMs, 0.5), minMs: Math.min(...durationsMs) };
}

/** The value that a share of `values` does not exceed; between two of them where it falls between. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const lower = sorted[Math.floor(place)] ?? Number.NaN;
  const upper = sorted[Math.ceil(place)] ?? Number.NaN;
  return lower + (upper - lower) * (place - Math.floor(place));
}
