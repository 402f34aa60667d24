/** What nodecni set itself to reach, and what the results say about it. */

import type { ChainRow } from './chain.ts';
import { toolsOf } from './children.ts';
import type { GrowthRow } from './growth.ts';
import type { Section } from './part.ts';
import type { PartName, Results } from './results.ts';
import type { SideName } from './shapes.ts';
import type { Verb } from './sides.ts';
import { OWN_START } from './start.ts';
import type { StormRow } from './storm.ts';

interface Target {
  readonly what: string;
  /** Without this part in the results nobody expects an answer. */
  readonly part: PartName;
  /** None for what only explains the one above. */
  readonly atMost?: number;
  /** A ratio of medians unless `what` says otherwise; `undefined` when it was not measured. */
  readonly find: (results: Results) => number | undefined;
}

const targets: readonly Target[] = [
  { what: 'start of the executable / bare node', part: 'start', atMost: 0.8, find: startRatio },
  chainTarget('ADD', { ports: 1, atMost: 0.9 }),
  podsTarget(100, 0.7),
  podsTarget(400, 0.5),
  chainTarget('ADD', { ports: 0, atMost: 1.3 }),
  { what: 'its floor: two starts of the executable / the reference’s ADD', part: 'chain', find: floorOfAdd },
  chainTarget('DEL', { ports: 1, atMost: 0.5 }),
  chainTarget('DEL', { ports: 0, atMost: 0.75 }),
  chainTarget('CHECK', { ports: 1, atMost: 1.6 }),
  { what: 'ADD, 400 pods / empty node, ours alone', part: 'growth', atMost: 1.15, find: ownGrowth },
  stormTarget('up', 0.95),
  stormTarget('down', 0.5),
  ...(['ADD', 'CHECK', 'DEL'] as const).map(dualStackTarget),
  ...(['ADD', 'CHECK', 'DEL'] as const).map(childrenTarget),
  chainTarget('ADD', { side: 'nodecni, one process', ports: 0, atMost: 1 }),
  chainTarget('ADD', { side: 'nodecni, one process', ports: 1, atMost: 0.6 }),
  chainTarget('DEL', { side: 'nodecni, one process', ports: 0, atMost: 0.6 }),
  chainTarget('DEL', { side: 'nodecni, one process', ports: 1, atMost: 0.35 }),
];

export interface TargetRow {
  readonly what: string;
  readonly atMost: number | undefined;
  readonly seen: number | undefined;
  /** `undefined` where there is no target. */
  readonly isReached: boolean | undefined;
}

/** Of the parts that were measured. */
export function targetRows(results: Results): TargetRow[] {
  return targets
    .filter(({ part }) => results[part] !== undefined)
    .map(({ what, atMost, find }) => {
      const seen = toThousandths(find(results));
      const isReached = atMost === undefined ? undefined : seen !== undefined && seen <= atMost;
      return { what, atMost, seen, isReached };
    });
}

export function targetsSection(results: Results): Section {
  return {
    heading: 'Targets',
    rows: [
      ['what', 'target', 'measured', 'reached'],
      ...targetRows(results).map(({ what, atMost, seen, isReached }) => [
        what,
        atMost === undefined ? '' : `≤ ${atMost}`,
        seen === undefined ? 'nothing' : roundUp(seen),
        isReached === undefined ? '' : isReached ? 'yes' : 'no',
      ]),
    ],
    note: 'Ratios to the reference unless they say otherwise, of medians in one run, rounded up; IPv4 by iptables.',
  };
}

/** As results are kept. */
function toThousandths(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.round(value * 1000) / 1000;
}

/** Thousandths to hundredths, never nicer than it is. */
function roundUp(value: number): string {
  return String(Math.ceil(Math.round(value * 1000) / 10) / 100);
}

function startRatio({ start }: Results): number | undefined {
  return start?.data.starts.find(({ name }) => name === OWN_START)?.ratio;
}

function floorOfAdd(results: Results): number | undefined {
  const start = results.start?.data.starts.find(({ name }) => name === OWN_START)?.medianMs;
  return quotient(start && 2 * start, chainRow(results, { verb: 'ADD', ports: 0 })?.sides.reference?.medianMs);
}

interface ChainPick {
  readonly verb: Verb;
  readonly ports: number;
  readonly families?: number;
}

function chainRow({ chain }: Results, { verb, ports, families = 1 }: ChainPick): ChainRow | undefined {
  return chain?.data.rows.find(
    (row) => row.backend === 'iptables' && row.families.length === families && row.ports === ports && row.verb === verb,
  );
}

function chainTarget(
  verb: Verb,
  { side = 'nodecni', ports, atMost }: { side?: SideName; ports: 0 | 1; atMost: number },
): Target {
  return {
    what: `${side === 'nodecni' ? '' : 'one process: '}${verb}, ${ports === 0 ? 'no port' : '1 port'}, empty node`,
    part: 'chain',
    atMost,
    find: (results) => chainRow(results, { verb, ports })?.sides[side]?.ratio,
  };
}

function dualStackTarget(verb: Verb): Target {
  return {
    what: `${verb}, 1 port: dual stack / IPv4, ours alone`,
    part: 'chain',
    atMost: 1.2,
    find: (results) => {
      const [both, one] = [2, 1].map((families) => chainRow(results, { verb, ports: 1, families })?.sides.nodecni);
      return quotient(both?.medianMs, one?.medianMs);
    },
  };
}

function addAmong({ growth }: Results, pods: number): GrowthRow['sides'] | undefined {
  return growth?.data.pods.find(({ count, verb }) => count === pods && verb === 'ADD')?.sides;
}

function podsTarget(pods: number, atMost: number): Target {
  const find = (results: Results) => addAmong(results, pods)?.nodecni?.ratio;
  return { what: `ADD, 1 port, ${pods} pods`, part: 'growth', atMost, find };
}

function ownGrowth(results: Results): number | undefined {
  const [full, empty] = [400, 0].map((pods) => addAmong(results, pods)?.nodecni?.medianMs);
  return quotient(full, empty);
}

function stormTarget(direction: StormRow['direction'], atMost: number): Target {
  return {
    what: `storm of 24 pods, 8 at a time: ${direction}`,
    part: 'storm',
    atMost,
    find: ({ storm }) =>
      storm?.data.find(
        (row) => row.pods === 24 && row.width === 8 && row.direction === direction && row.side === 'nodecni',
      )?.ratio,
  };
}

function childrenTarget(verb: Verb): Target {
  return {
    what: `${verb}, 1 port: child processes of our plugins`,
    part: 'children',
    atMost: 4,
    find: ({ children }) => {
      const call = children?.data.find((one) => one.side === 'nodecni' && one.ports === 1 && one.verb === verb);
      return call && toolsOf(call);
    },
  };
}

function quotient(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? undefined : one / other;
}
