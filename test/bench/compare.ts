/** The sides of one measurement beside one another. */

import { ms, ratio } from './format.ts';
import type { Timing } from './measure.ts';
import type { SideName } from './shapes.ts';

export interface Compared extends Timing {
  /** Of its median to the reference's, in the same run. */
  readonly ratio: number;
}

export type BySide = Readonly<Partial<Record<SideName, Compared>>>;

export interface ComparedVerb {
  /** ADD, or whatever the part calls it. */
  readonly verb: string;
  readonly sides: BySide;
}

/** A row for each verb that the sides were timed with. */
export function compareVerbs(
  timings: ReadonlyMap<{ readonly name: SideName }, Readonly<Record<string, Timing>>>,
): ComparedVerb[] {
  const sides = [...timings];
  const verbs = Object.keys(sides[0]?.[1] ?? {});
  return verbs.map((verb) => {
    const ofVerb = sides.flatMap(([{ name }, { [verb]: timing }]) => (timing === undefined ? [] : [{ name, timing }]));
    const base = ofVerb.find(({ name }) => name === 'reference')?.timing.medianMs ?? Number.NaN;
    const entries = ofVerb.map(({ name, timing }) => [name, { ...timing, ratio: timing.medianMs / base }]);
    return { verb, sides: Object.fromEntries(entries) as BySide };
  });
}

/** `57.1 ms (55.0), 0.81×`: median, min, ratio. */
export function cellsOf(sides: BySide): string[] {
  return Object.entries(sides).map(([name, { medianMs, minMs, ratio: quotient }]) => {
    const timing = `${ms(medianMs)} (${minMs.toFixed(1)})`;
    return name === 'reference' ? timing : `${timing}, ${ratio(quotient)}`;
  });
}
