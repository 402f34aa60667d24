/** Memory of plugins that wait for their configuration, as the kernel accounts for it: one, and 32 at once. */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { ours, reference } from '../support/plugins.ts';
import { megabytes } from './format.ts';
import type { Part, Section } from './part.ts';

const AT_ONCE = 32;

export interface Memory {
  readonly name: string;
  readonly count: number;
  /** Most that one had in memory, shared pages included. */
  readonly peakRssBytes: number;
  /** All of them together, a shared page counted once. */
  readonly pssBytes: number;
}

export const memory: Part<readonly Memory[]> = {
  measure: async () => {
    const data: Memory[] = [];
    for (const [name, bin] of [['nodecni', ours] as const, ['reference', reference] as const]) {
      for (const count of [1, AT_ONCE]) data.push(await measureMemory(name, { path: `${bin}/loopback`, count }));
    }
    return data;
  },
  render: (data) => [render(data)],
};

function render(data: readonly Memory[]): Section {
  return {
    heading: 'Memory',
    rows: [
      ['`loopback`', 'at once', 'peak RSS of one', 'PSS of all', 'PSS of each'],
      ...data.map(({ name, count, peakRssBytes, pssBytes }) => [
        name,
        String(count),
        megabytes(peakRssBytes),
        megabytes(pssBytes),
        megabytes(pssBytes / count),
      ]),
    ],
    note: 'PSS counts a page that several processes share once; the executable itself is such pages.',
  };
}

async function measureMemory(name: string, { path, count }: { path: string; count: number }): Promise<Memory> {
  const children = Array.from({ length: count }, () => startWaiting(path));
  try {
    const pids = children.map(({ pid }) => pid ?? 0);
    const pssBytes = await settled(() =>
      pids.reduce((sum, pid) => sum + bytesIn(`/proc/${pid}/smaps_rollup`, 'Pss'), 0),
    );
    const peakRssBytes = Math.max(...pids.map((pid) => bytesIn(`/proc/${pid}/status`, 'VmHWM')));
    return { name, count, peakRssBytes, pssBytes };
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(children.map((child) => new Promise((resolve) => child.once('close', resolve))));
  }
}

/** Its stdin stays open. */
function startWaiting(path: string): ChildProcess {
  const env = {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'bench',
    CNI_NETNS: '/proc/1/ns/net',
    CNI_IFNAME: 'lo',
    CNI_PATH: '/absent',
  };
  return spawn(path, [], { env, stdio: ['pipe', 'ignore', 'ignore'] });
}

const LOOK_EVERY_MS = 300;

/** What `look` sees once it sees the same twice: the processes have come to where they wait. */
async function settled(look: () => number): Promise<number> {
  for (let before = -1; ; ) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    const now = look();
    if (now === before) return now;
    before = now;
  }
}

function bytesIn(path: string, key: string): number {
  const kilobytes = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(path, 'utf8'))?.[1];
  if (kilobytes === undefined) throw new Error(`cannot read ${key} in ${path}`);
  return Number(kilobytes) * 1024;
}
