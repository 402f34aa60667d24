/** What a call costs before it does anything: start-up beside the bare runtime and a Go plugin, and size on disk. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { ours, reference } from '../support/plugins.ts';
import { megabytes, ms, ratio } from './format.ts';
import { interleave, type ProcessCall, type Timing, timeOnce } from './measure.ts';
import type { Part, Section } from './part.ts';

const versionCall = {
  args: [],
  env: { CNI_COMMAND: 'VERSION' },
  input: '{"cniVersion":"1.1.0","name":"bench","type":"loopback"}',
};

interface Starter extends ProcessCall {
  readonly name: string;
}

export const OWN_START = 'nodecni `loopback`, VERSION';

/** The first one is what the others are held against. */
const starters: readonly Starter[] = [
  { name: '`node -e 0` (the same runtime, bare)', path: process.execPath, args: ['-e', '0'], env: {} },
  { name: OWN_START, path: `${ours}/loopback`, ...versionCall },
  { name: 'the reference’s `loopback`, VERSION', path: `${reference}/loopback`, ...versionCall },
];

/** A start is short: many rounds cost little. */
const ROUNDS_PER_ROUND = 4;

interface Start extends Timing {
  readonly name: string;
  /** Of its median to the bare runtime's. */
  readonly ratio: number;
}

export interface StartData {
  readonly rounds: number;
  readonly starts: readonly Start[];
  readonly disk: {
    readonly names: number;
    readonly executableBytes: number;
    readonly librariesBytes: number;
    readonly referenceBytes: number;
  };
  /** Bytes by package. */
  readonly bundle: Readonly<Record<string, number>>;
}

export const start: Part<StartData> = {
  measure: (options) => {
    const rounds = options.rounds * ROUNDS_PER_ROUND;
    return { rounds, starts: measureStarts(rounds), disk: measureDisk(), bundle: measureBundle() };
  },
  render: ({ rounds, starts, disk, bundle }) => [renderStarts(starts, rounds), renderDisk(disk), renderBundle(bundle)],
};

function measureStarts(rounds: number): Start[] {
  const timings = interleave(starters, { rounds, warmUp: 5 }, (starter) => ({
    start: timeOnce(starter.name, starter),
  }));
  const seen = [...timings].map(([{ name }, { start }]) => ({ name, ...start }));
  const bareMs = seen[0]?.medianMs ?? Number.NaN;
  return seen.map((one) => ({ ...one, ratio: one.medianMs / bareMs }));
}

function renderStarts(starts: readonly Start[], rounds: number): Section {
  return {
    heading: 'Start',
    rows: [
      ['what starts', 'median', 'min', 'ratio'],
      ...starts.map(({ name, medianMs, minMs, ratio: quotient }) => [name, ms(medianMs), ms(minMs), ratio(quotient)]),
    ],
    note: `${rounds} rounds; ratio of medians to the first.`,
  };
}

function measureDisk(): StartData['disk'] {
  const names = readdirSync(ours).filter((name) => statSync(`${ours}/${name}`).isFile());
  const libraries = readdirSync(`${ours}/.nodecni-lib`, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => `${parentPath}/${name}`);
  const theirs = ['bridge', 'host-local', 'portmap', 'loopback'].map((name) => `${reference}/${name}`);
  const sum = (paths: readonly string[]) => paths.reduce((total, path) => total + statSync(path).size, 0);
  return {
    names: names.length,
    executableBytes: sum([`${ours}/bridge`]),
    librariesBytes: sum(libraries),
    referenceBytes: sum(theirs),
  };
}

function renderDisk({ names, executableBytes, librariesBytes, referenceBytes }: StartData['disk']): Section {
  return {
    heading: 'On disk',
    rows: [
      ['what', 'size'],
      [`nodecni: one file under ${names} names`, megabytes(executableBytes)],
      ['nodecni: libraries for hosts that lack them', megabytes(librariesBytes)],
      ['the reference’s `bridge`, `host-local`, `portmap`, `loopback` together', megabytes(referenceBytes)],
    ],
    note: 'The names but `flannel` are hard links: for them the file is on disk, and in memory, once.',
  };
}

/** As `make build` found it. */
function measureBundle(): StartData['bundle'] {
  const lines = readFileSync('dist/bundle-report.txt', 'utf8').trimEnd().split('\n');
  return Object.fromEntries(lines.map((line) => line.split(/ +/)).map(([name, bytes]) => [name, Number(bytes)]));
}

function renderBundle(bundle: StartData['bundle']): Section {
  return {
    heading: 'In the bundle',
    rows: [['package', 'bytes'], ...Object.entries(bundle).map(([name, bytes]) => [name, String(bytes)])],
    note: 'JavaScript that goes into the snapshot, after minification.',
  };
}
