/** What a call costs before it does anything: start-up beside the bare runtime and a Go plugin, and size on disk. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { ours, reference } from '../support/plugins.ts';
import { interleave, type ProcessCall, timeOnce } from './measure.ts';
import type { BenchOptions, Section } from './section.ts';
import { megabytes, ms, ratio } from './table.ts';

const versionCall = {
  args: [],
  env: { CNI_COMMAND: 'VERSION' },
  input: '{"cniVersion":"1.1.0","name":"bench","type":"loopback"}',
};

interface Starter extends ProcessCall {
  readonly name: string;
}

/** The first one is what the others are held against. */
const starters: readonly Starter[] = [
  { name: '`node -e 0` (the same runtime, bare)', path: process.execPath, args: ['-e', '0'], env: {} },
  { name: 'nodecni `loopback`, VERSION', path: `${ours}/loopback`, ...versionCall },
  { name: 'the reference’s `loopback`, VERSION', path: `${reference}/loopback`, ...versionCall },
];

/** A start is short: many rounds cost little. */
const ROUNDS_PER_ROUND = 4;

export async function startSections({ rounds }: BenchOptions): Promise<readonly Section[]> {
  return [measureStart(rounds * ROUNDS_PER_ROUND), diskSection(), bundleSection()];
}

function measureStart(rounds: number): Section {
  const timings = interleave(starters, { rounds, warmUp: 5 }, (starter) => ({
    start: timeOnce(starter.name, starter),
  }));
  const data = [...timings].map(([{ name }, { start }]) => ({ name, ...start }));
  const bareMs = data[0]?.medianMs ?? Number.NaN;
  const rows = data.map(({ name, medianMs, minMs }) => [name, ms(medianMs), ms(minMs), ratio(medianMs / bareMs)]);
  return {
    heading: 'Start',
    rows: [['what starts', 'median', 'min', 'ratio'], ...rows],
    note: `${rounds} rounds; ratio of medians to the first.`,
    data,
  };
}

function diskSection(): Section {
  const names = readdirSync(ours).filter((name) => statSync(`${ours}/${name}`).isFile());
  const libraries = readdirSync(`${ours}/.nodecni-lib`, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => `${parentPath}/${name}`);
  const theirs = ['bridge', 'host-local', 'portmap', 'loopback'].map((name) => `${reference}/${name}`);
  const sum = (paths: readonly string[]) => paths.reduce((total, path) => total + statSync(path).size, 0);
  const data = { executable: sum([`${ours}/bridge`]), libraries: sum(libraries), reference: sum(theirs) };
  return {
    heading: 'On disk',
    rows: [
      ['what', 'size'],
      [`nodecni: one file under ${names.length} names`, megabytes(data.executable)],
      ['nodecni: libraries for hosts that lack them', megabytes(data.libraries)],
      ['the reference’s `bridge`, `host-local`, `portmap`, `loopback` together', megabytes(data.reference)],
    ],
    note: 'The names but `flannel` are hard links: for them the file is on disk, and in memory, once.',
    data,
  };
}

/** As `make build` found it. */
function bundleSection(): Section {
  const lines = readFileSync('dist/bundle-report.txt', 'utf8').trimEnd().split('\n');
  const shares = lines.map((line) => line.split(/ +/));
  return {
    heading: 'In the bundle',
    rows: [['package', 'bytes'], ...shares],
    note: 'JavaScript that goes into the snapshot, after minification.',
    data: Object.fromEntries(shares.map(([name, bytes]) => [name, Number(bytes)])),
  };
}
