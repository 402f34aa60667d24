/** What a measurement is worthless without: machine, kernel and versions. */

import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';

export interface Machine {
  readonly cpus: number;
  readonly cpuModel: string;
  readonly kernel: string;
  readonly node: string;
  readonly nodecni: string;
}

export function describeMachine(): Machine {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  return {
    cpus: availableParallelism(),
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown processor',
    kernel: release(),
    node: process.versions.node,
    nodecni: version,
  };
}
