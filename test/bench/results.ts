/** The parts of the bench, and what runs of them found: test/bench/results, which README is made from. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { repository } from '../support/plugins.ts';
import { type ChainData, chain } from './chain.ts';
import { type Call, children } from './children.ts';
import { type GrowthData, growth } from './growth.ts';
import type { Run } from './machine.ts';
import { type Memory, memory } from './memory.ts';
import { type BenchOptions, type Part, RESULTS_FOLDER, type Section } from './part.ts';
import { type StartData, start } from './start.ts';
import { type StormRow, storm } from './storm.ts';

interface DataOfParts {
  readonly start: StartData;
  readonly memory: readonly Memory[];
  readonly chain: ChainData;
  readonly growth: GrowthData;
  readonly storm: readonly StormRow[];
  readonly children: readonly Call[];
}

export type PartName = keyof DataOfParts;

export interface Measured<D> {
  readonly run: Run;
  readonly seconds: number;
  readonly data: D;
}

/** Parts may come from several runs. */
export type Results = { readonly [N in PartName]?: Measured<DataOfParts[N]> };

const parts: { readonly [N in PartName]: Part<DataOfParts[N]> } = { start, memory, chain, growth, storm, children };

export const partNames = Object.keys(parts) as readonly PartName[];

const FOLDER = `${repository}/${RESULTS_FOLDER}`;
const FILE = `${FOLDER}/bench.json`;

export async function measurePart<N extends PartName>(
  name: N,
  run: Run,
  options: BenchOptions,
): Promise<Measured<DataOfParts[N]>> {
  const begin = process.hrtime.bigint();
  const data = await parts[name].measure(options);
  return { run, seconds: Number(process.hrtime.bigint() - begin) / 1e9, data };
}

/** Of one part, or of none when it was not measured. */
export function sectionsOf<N extends PartName>(results: Results, name: N): readonly Section[] {
  const measured: Results[N] = results[name];
  return measured === undefined ? [] : parts[name].render(measured.data);
}

export function readResults(): Results {
  return existsSync(FILE) ? (JSON.parse(readFileSync(FILE, 'utf8')) as Results) : {};
}

/** Leaves parts alone that are not in `results`. */
export function mergeResults(results: Results): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(FILE, renderResults({ ...readResults(), ...results }));
  writePlots();
}

/** Of the results that are kept. */
export function writePlots(): void {
  for (const [path, svg] of Object.entries(plotsOf(readResults()))) writeFileSync(`${repository}/${path}`, svg);
}

/** A microsecond is more than enough. */
export function renderResults(results: Results): string {
  const rounded = (_key: string, value: unknown) => (typeof value === 'number' ? Math.round(value * 1e3) / 1e3 : value);
  return `${JSON.stringify(results, rounded, 2)}\n`;
}

/** SVG texts by path in the repository. */
export function plotsOf(results: Results): Readonly<Record<string, string>> {
  const sections = partNames.flatMap((name) => sectionsOf(results, name));
  return Object.fromEntries(sections.flatMap(({ plot }) => (plot === undefined ? [] : [[plot.path, plot.svg]])));
}
