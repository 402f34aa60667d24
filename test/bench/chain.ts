/** ADD, CHECK and DEL of the whole chain, by ports, families and firewall. */

import { type ComparedVerb, cellsOf, compareVerbs } from './compare.ts';
import { interleave } from './measure.ts';
import type { Part, Section } from './part.ts';
import type { Backend, Shape, SideName } from './shapes.ts';
import { configure, portsFrom, type Side, timeVerbs, withSides } from './sides.ts';

const SIDES: readonly SideName[] = ['nodecni', 'nodecni, one process', 'reference'];
const VERBS = { ADD: 'ADD', CHECK: 'CHECK', DEL: 'DEL' } as const;
/** Many ports take the reference long. */
const PORTS = [
  { ports: 0, shareOfRounds: 1 },
  { ports: 1, shareOfRounds: 1 },
  { ports: 20, shareOfRounds: 0.5 },
];
const FAMILIES: readonly Shape['families'][] = [[4], [4, 6]];
const BACKENDS: readonly Backend[] = ['iptables', 'nftables'];
const FIRST_PORT = 10_000;

export interface ChainRow extends Shape, ComparedVerb {
  readonly ports: number;
}

export interface ChainData {
  readonly rounds: number;
  readonly rows: readonly ChainRow[];
}

export const chain: Part<ChainData> = {
  measure: ({ rounds }) =>
    withSides(SIDES, async (sides) => {
      const shapes = BACKENDS.flatMap((backend) => FAMILIES.map((families) => ({ backend, families })));
      const variants = shapes.flatMap((shape) =>
        PORTS.map(({ ports, shareOfRounds }) => ({ shape, ports, rounds: Math.ceil(rounds * shareOfRounds) })),
      );
      return { rounds, rows: variants.flatMap((variant) => measureVariant(sides, variant)) };
    }),
  render: (data) => [render(data)],
};

interface Variant {
  readonly shape: Shape;
  readonly ports: number;
  readonly rounds: number;
}

function measureVariant(sides: readonly Side[], { shape, ports, rounds }: Variant): ChainRow[] {
  for (const side of sides) configure(side, shape);
  const mappings = portsFrom(FIRST_PORT, ports);
  const timings = interleave(sides, { rounds, warmUp: 2 }, (side) => timeVerbs(side, VERBS, mappings));
  return compareVerbs(timings).map((row) => ({ ...shape, ports, ...row }));
}

function render({ rounds, rows }: ChainData): Section {
  return {
    heading: 'The chain',
    rows: [['network', 'verb', ...SIDES], ...rows.map((row) => [networkText(row), row.verb, ...cellsOf(row.sides)])],
    note: `bridge with gateway, masquerade and hairpin, host-local, portmap, by cnitool; ${rounds} rounds, half as many with 20 ports: median (min), ratio of medians.`,
  };
}

function networkText({ backend, families, ports }: ChainRow): string {
  const portsText = ports === 0 ? 'no port' : ports === 1 ? '1 port' : `${ports} ports`;
  return `${backend}, ${families.length === 1 ? 'IPv4' : 'dual stack'}, ${portsText}`;
}
