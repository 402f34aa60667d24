/**
 * ADD and DEL of host-local in a network that holds many leases already, ours and the reference's side by
 * side. A folder of files is all that it takes: nothing of the host's network is touched.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from './measure.ts';
import { renderRows } from './table.ts';

const COUNTS = [0, 1_000, 20_000] as const;
const VERBS = ['ADD', 'DEL', 'second DEL'] as const;
const WARM_UP_ROUNDS = 2;

type Verb = (typeof VERBS)[number];

interface Contestant {
  readonly name: string;
  readonly path: string;
}

/** The first one is what the other is held against. */
const CONTESTANTS: readonly Contestant[] = [
  { name: 'nodecni', path: 'dist/bin/host-local' },
  { name: 'reference 1.9.1', path: '.cache/peers/host-local' },
];

export interface LeaseTiming {
  readonly leases: number;
  readonly verb: Verb;
  /** By contestant, in milliseconds. */
  readonly medianMs: Readonly<Record<string, number>>;
  /** The first contestant's median against the second one's. */
  readonly ratio: number | undefined;
}

/** Medians of `rounds` rounds. */
export function measureLeases(rounds: number): readonly LeaseTiming[] {
  const folder = mkdtempSync(join(tmpdir(), 'nodecni-bench-'));
  try {
    return COUNTS.flatMap((count) => measureAt(count, { folder, rounds }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Every contestant has a folder of its own and takes its turn in each round. */
function measureAt(count: number, { folder, rounds }: { folder: string; rounds: number }): LeaseTiming[] {
  const runs = CONTESTANTS.filter(({ path }) => existsSync(path)).map((contestant) => ({
    contestant,
    dataDir: fill(`${folder}/${contestant.name.replaceAll(' ', '-')}-${count}`, count),
    durationsMs: { ADD: [], DEL: [], 'second DEL': [] } as Record<Verb, number[]>,
  }));
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    for (const { contestant, dataDir, durationsMs } of runs) {
      for (const verb of VERBS) {
        const durationMs = timeOnce(contestant, { verb, dataDir, containerId: `bench-${round + WARM_UP_ROUNDS}` });
        if (round >= 0) durationsMs[verb].push(durationMs);
      }
    }
  }
  return VERBS.map((verb) => {
    const medians = runs.map(({ contestant, durationsMs }) => [contestant.name, median(durationsMs[verb])] as const);
    const [own, other] = medians.map(([, value]) => value);
    const ratio = own === undefined || other === undefined ? undefined : own / other;
    return { leases: count, verb, medianMs: Object.fromEntries(medians), ratio };
  });
}

/** Leases of containers as the reference writes them: whoever comes first has to find out whose they are. */
function fill(dataDir: string, count: number): string {
  const leases = `${dataDir}/bench`;
  mkdirSync(leases, { recursive: true });
  for (let number = 0; number < count; number++) {
    const id = `container-${String(number).padStart(54, '0')}`;
    writeFileSync(`${leases}/${addressOf(number)}`, `${id}\r\neth0`, { mode: 0o600 });
  }
  if (count > 0) writeFileSync(`${leases}/last_reserved_ip.0`, addressOf(count - 1), { mode: 0o600 });
  return dataDir;
}

/** From 10.99.0.2 on: the first address of the network is the gateway's. */
function addressOf(number: number): string {
  const host = number + 2;
  return `10.99.${host >> 8}.${host & 255}`;
}

interface Call {
  readonly verb: Verb;
  readonly dataDir: string;
  readonly containerId: string;
}

function timeOnce({ name, path }: Contestant, { verb, dataDir, containerId }: Call): number {
  const ipam = { type: 'host-local', dataDir, ranges: [[{ subnet: '10.99.0.0/16' }]] };
  const input = JSON.stringify({ cniVersion: '1.1.0', name: 'bench', type: 'bridge', ipam });
  const env = {
    CNI_COMMAND: verb === 'ADD' ? 'ADD' : 'DEL',
    CNI_CONTAINERID: containerId,
    // Of the container there is no namespace; a path that leads nowhere costs both the same.
    CNI_NETNS: '/run/netns/nodecni-bench',
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/nonexistent',
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
  };
  const start = process.hrtime.bigint();
  const { status, stdout, error } = spawnSync(path, [], { env, input, encoding: 'utf8' });
  const durationMs = Number(process.hrtime.bigint() - start) / 1e6;
  if (status !== 0) throw new Error(`cannot time ${verb} of ${name}: exit code ${status}: ${stdout}`, { cause: error });
  return durationMs;
}

export function renderLeases(timings: readonly LeaseTiming[]): string {
  const names = CONTESTANTS.map(({ name }) => name);
  const rows = timings.map(({ leases, verb, medianMs, ratio }) => [
    String(leases),
    verb,
    ...names.map((name) => (medianMs[name] === undefined ? 'not there' : `${medianMs[name].toFixed(1)} ms`)),
    ratio === undefined ? '' : `${ratio.toFixed(2)}×`,
  ]);
  return renderRows([
    ['leases there', 'host-local', ...names, 'ratio'],
    ['---:', '---', '---:', '---:', '---:'],
    ...rows,
  ]);
}
