/** ADD, CHECK and DEL of the whole chain, by ports, families and firewall. */

import type { Family } from '../support/networks.ts';
import { interleave, type Timing } from './measure.ts';
import type { BenchOptions, Section } from './section.ts';
import { type Backend, configure, portsFrom, type Shape, type Side, timeVerbs, type Verb, withSides } from './sides.ts';
import { ms, ratio } from './table.ts';

const VERBS = { ADD: 'ADD', CHECK: 'CHECK', DEL: 'DEL' } as const;
const PORTS = [0, 1, 20];
const FAMILIES: readonly (readonly Family[])[] = [[4], [4, 6]];
const BACKENDS: readonly Backend[] = ['iptables', 'nftables'];
const FIRST_PORT = 10_000;

interface Row {
  readonly backend: Backend;
  readonly families: readonly Family[];
  readonly ports: number;
  readonly verb: Verb;
  readonly sides: Readonly<Record<string, Timing>>;
  readonly ratio: number;
}

export function chainSections({ rounds }: BenchOptions): Promise<readonly Section[]> {
  return withSides(async (sides) => {
    const shapes = BACKENDS.flatMap((backend) => FAMILIES.map((families) => ({ backend, families })));
    const data = shapes.flatMap((shape) => PORTS.flatMap((ports) => measureShape(sides, { shape, ports, rounds })));
    const rows = data.map((row) => [
      `${row.backend}, ${row.families.length === 1 ? 'IPv4' : 'dual stack'}, ${portsText(row.ports)}`,
      row.verb,
      ...Object.values(row.sides).flatMap(({ medianMs, minMs }) => [ms(medianMs), ms(minMs)]),
      ratio(row.ratio),
    ]);
    return [
      {
        heading: 'The chain',
        rows: [['network', 'verb', ...sides.flatMap(({ name }) => [name, 'min']), 'ratio'], ...rows],
        note: `bridge with gateway, masquerade and hairpin, host-local, portmap, by cnitool; ${rounds} rounds, medians.`,
        data,
      },
    ];
  });
}

function portsText(count: number): string {
  return count === 0 ? 'no port' : count === 1 ? '1 port' : `${count} ports`;
}

interface Variant {
  readonly shape: Shape;
  readonly ports: number;
  readonly rounds: number;
}

function measureShape(sides: readonly Side[], { shape, ports, rounds }: Variant): Row[] {
  for (const side of sides) configure(side, shape);
  const mappings = portsFrom(FIRST_PORT, ports);
  const timings = interleave(sides, { rounds, warmUp: 2 }, (side) => timeVerbs(side, VERBS, mappings));
  return Object.values(VERBS).map((verb) => {
    const bySide = sides.map(
      (side) => [side.name, timings.get(side)?.[verb] ?? { medianMs: NaN, minMs: NaN }] as const,
    );
    const [own, other] = bySide.map(([, { medianMs }]) => medianMs);
    const quotient = (own ?? Number.NaN) / (other ?? Number.NaN);
    return { ...shape, ports, verb, sides: Object.fromEntries(bySide), ratio: quotient };
  });
}
