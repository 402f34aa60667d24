/** The chain on a node that fills: ADD and DEL against the pods that are there, and against leases of others. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { inLanes } from '../support/attach.ts';
import { must } from '../support/process.ts';
import { interleave, type Timing } from './measure.ts';
import { plot } from './plot.ts';
import type { BenchOptions, Section } from './section.ts';
import { cnitool, configure, morePods, portsFrom, type Side, timeVerbs, usual, type Verb, withSides } from './sides.ts';
import { ms, ratio } from './table.ts';

const PODS = [0, 50, 100, 200, 400];
const LEASES = [0, 1_000, 5_000, 10_000, 20_000];
/** Of the pod that is timed, and of the first of the others. */
const OWN_PORT = 10_000;
const FIRST_PORT = 20_000;
/** A step takes long by itself. */
const SHARE_OF_ROUNDS = 0.5;

interface Step {
  /** Pods or leases that are there. */
  readonly count: number;
  /** Timings by side, then by verb. */
  readonly sides: Readonly<Record<string, Readonly<Record<string, Timing>>>>;
}

interface Growth {
  readonly heading: string;
  readonly what: string;
  readonly file: string;
  readonly counts: readonly number[];
  readonly verbs: Readonly<Record<string, Verb>>;
  readonly ports: number;
  readonly note: string;
  /** Makes `to` of what there are `from` already. */
  readonly fill: (side: Side, range: { from: number; to: number }) => Promise<void>;
}

const growths: readonly Growth[] = [
  {
    heading: 'A node that fills',
    what: 'pods on the node',
    file: 'pods.svg',
    counts: PODS,
    verbs: { ADD: 'ADD', DEL: 'DEL' },
    ports: 1,
    note: 'Every pod has one port, the timed one too.',
    fill: attachPods,
  },
  {
    heading: 'A folder of leases that fills',
    what: 'leases of others',
    file: 'leases.svg',
    counts: LEASES,
    verbs: { ADD: 'ADD', DEL: 'DEL', 'second DEL': 'DEL' },
    ports: 0,
    note: 'Leases as the reference writes them; the timed pod has no port.',
    fill: writeLeases,
  },
];

export async function growthSections({ rounds }: BenchOptions): Promise<readonly Section[]> {
  const sections: Section[] = [];
  for (const growth of growths) sections.push(await measureGrowth(growth, Math.ceil(rounds * SHARE_OF_ROUNDS)));
  return sections;
}

function measureGrowth(growth: Growth, rounds: number): Promise<Section> {
  return withSides(async (sides) => {
    for (const side of sides) configure(side, usual);
    const steps: Step[] = [];
    let from = 0;
    for (const count of growth.counts) {
      for (const side of sides) await growth.fill(side, { from, to: count });
      from = count;
      const timings = interleave(sides, { rounds, warmUp: 2 }, (side) =>
        timeVerbs(side, growth.verbs, portsFrom(OWN_PORT, growth.ports)),
      );
      steps.push({ count, sides: Object.fromEntries([...timings].map(([{ name }, byVerb]) => [name, byVerb])) });
    }
    return render(growth, { rounds, steps, names: sides.map(({ name }) => name) });
  });
}

function render(growth: Growth, { rounds, steps, names }: { rounds: number; steps: Step[]; names: string[] }): Section {
  const verbs = Object.keys(growth.verbs);
  const median = (step: Step, name: string, verb: string) => step.sides[name]?.[verb]?.medianMs ?? Number.NaN;
  const rows = steps.flatMap((step) =>
    verbs.map((verb) => {
      const [own = Number.NaN, other = Number.NaN] = names.map((name) => median(step, name, verb));
      return [String(step.count), verb, ms(own), ms(other), ratio(own / other)];
    }),
  );
  const lines = names.flatMap((name) =>
    verbs.map((verb) => ({
      name: `${name} ${verb}`,
      points: steps.map((step) => [step.count, median(step, name, verb)] as const),
    })),
  );
  return {
    heading: growth.heading,
    rows: [[growth.what, 'verb', ...names, 'ratio'], ...rows],
    note: `${growth.note} ${rounds} rounds, medians.`,
    data: steps,
    plots: { [growth.file]: plot({ title: growth.heading, x: growth.what, y: 'ms', lines }) },
  };
}

async function attachPods(side: Side, { from, to }: { from: number; to: number }): Promise<void> {
  const pods = await morePods(side, to - from);
  await inLanes([...pods.entries()], 4, async ([index, pod]) => {
    const { path, args, env } = cnitool(side, 'ADD', { pod, ports: portsFrom(FIRST_PORT + from + index, 1) });
    await must([path, ...args], { env, timeoutMs: 120_000 });
  });
}

async function writeLeases({ world }: Side, { from, to }: { from: number; to: number }): Promise<void> {
  const folder = `${world.dataDir}/bench`;
  mkdirSync(folder, { recursive: true });
  for (let number = from; number < to; number++) {
    const id = `container-${String(number).padStart(54, '0')}`;
    writeFileSync(`${folder}/${addressOf(number)}`, `${id}\r\neth0`, { mode: 0o600 });
  }
  if (to > 0) writeFileSync(`${folder}/last_reserved_ip.0`, addressOf(to - 1), { mode: 0o600 });
}

/** Above those that the timed pod gets on an empty node. */
function addressOf(number: number): string {
  const host = number + 0x1000;
  return `10.99.${host >> 8}.${host & 255}`;
}
