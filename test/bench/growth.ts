/** The chain on a node that fills: ADD and DEL against the pods that are there, and against leases of others. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { inLanes } from '../support/attach.ts';
import { must } from '../support/process.ts';
import { type ComparedVerb, cellsOf, compareVerbs } from './compare.ts';
import { interleave } from './measure.ts';
import { type Part, RESULTS_FOLDER, type Section } from './part.ts';
import { type Line, plot } from './plot.ts';
import { type SideName, sideNames, usual } from './shapes.ts';
import { cnitool, configure, morePods, portsFrom, type Side, timeVerbs, type Verb, withSides } from './sides.ts';

/** Of the pod that is timed, and of the first of the others. */
const OWN_PORT = 10_000;
const FIRST_PORT = 20_000;
/** A step takes long by itself. */
const SHARE_OF_ROUNDS = 0.5;
/** For each side; processors are few. */
const FILLED_AT_ONCE = 2;

export interface GrowthRow extends ComparedVerb {
  /** Pods or leases that are there. */
  readonly count: number;
}

export interface GrowthData {
  readonly rounds: number;
  readonly pods: readonly GrowthRow[];
  readonly leases: readonly GrowthRow[];
}

interface Growth {
  readonly heading: string;
  readonly what: string;
  readonly file: string;
  readonly sides: readonly SideName[];
  readonly counts: readonly number[];
  readonly verbs: Readonly<Record<string, Verb>>;
  readonly ports: number;
  readonly note: string;
  /** Makes `to` of what there are `from` already. */
  readonly fill: (side: Side, range: { from: number; to: number }) => Promise<void>;
}

const nodeThatFills: Growth = {
  heading: 'A node that fills',
  what: 'pods on the node',
  file: 'pods.svg',
  sides: sideNames,
  counts: [0, 50, 100, 200, 400],
  verbs: { ADD: 'ADD', DEL: 'DEL' },
  ports: 1,
  note: 'Every pod has one port, the timed one too; rules by iptables, but `"ruleLayout": "sets"` is by nftables.',
  fill: attachPods,
};

const folderThatFills: Growth = {
  heading: 'A folder of leases that fills',
  what: 'leases of others',
  file: 'leases.svg',
  sides: ['nodecni', 'reference'],
  counts: [0, 1_000, 5_000, 10_000, 20_000],
  verbs: { ADD: 'ADD', DEL: 'DEL', 'second DEL': 'DEL' },
  ports: 0,
  note: 'Leases as the reference writes them; the timed pod has no port.',
  fill: writeLeases,
};

export const growth: Part<GrowthData> = {
  measure: async (options) => {
    const rounds = Math.ceil(options.rounds * SHARE_OF_ROUNDS);
    const pods = await measureGrowth(nodeThatFills, rounds);
    return { rounds, pods, leases: await measureGrowth(folderThatFills, rounds) };
  },
  render: ({ pods, leases, rounds }) => [render(nodeThatFills, pods, rounds), render(folderThatFills, leases, rounds)],
};

function measureGrowth(growth: Growth, rounds: number): Promise<GrowthRow[]> {
  return withSides(growth.sides, async (sides) => {
    for (const side of sides) configure(side, usual);
    const rows: GrowthRow[] = [];
    let from = 0;
    for (const count of growth.counts) {
      await Promise.all(sides.map((side) => growth.fill(side, { from, to: count })));
      from = count;
      const timings = interleave(sides, { rounds, warmUp: 2 }, (side) =>
        timeVerbs(side, growth.verbs, portsFrom(OWN_PORT, growth.ports)),
      );
      rows.push(...compareVerbs(timings).map((row) => ({ count, ...row })));
    }
    return rows;
  });
}

function render(growth: Growth, rows: readonly GrowthRow[], rounds: number): Section {
  return {
    heading: growth.heading,
    rows: [
      [growth.what, 'verb', ...growth.sides],
      ...rows.map(({ count, verb, sides }) => [String(count), verb, ...cellsOf(sides)]),
    ],
    note: `${growth.note} ${rounds} rounds: median (min), ratio of medians.`,
    plot: {
      path: `${RESULTS_FOLDER}/${growth.file}`,
      svg: plot({ title: growth.heading, x: growth.what, y: 'ms', lines: linesOf(growth, rows) }),
    },
  };
}

/** A colour for each side, a kind of line for each verb. */
function linesOf({ sides, verbs }: Growth, rows: readonly GrowthRow[]): Line[] {
  return sides.flatMap((side) =>
    Object.keys(verbs).map((verb, dash) => ({
      name: `${side}: ${verb}`,
      color: sideNames.indexOf(side),
      dash,
      points: rows
        .filter((row) => row.verb === verb)
        .map((row) => [row.count, row.sides[side]?.medianMs ?? Number.NaN] as const),
    })),
  );
}

async function attachPods(side: Side, { from, to }: { from: number; to: number }): Promise<void> {
  const pods = await morePods(side, to - from);
  await inLanes([...pods.entries()], FILLED_AT_ONCE, async ([index, pod]) => {
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
