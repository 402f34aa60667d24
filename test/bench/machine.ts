/** What a measurement is worthless without: machine, kernel and versions. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';

export interface Machine {
  readonly cpus: number;
  readonly cpuModel: string;
  readonly kernel: string;
  readonly node: string;
  readonly nodecni: string;
  readonly reference: string;
  readonly tools: readonly string[];
}

export function describeMachine(): Machine {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  return {
    cpus: availableParallelism(),
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown processor',
    kernel: release(),
    node: process.versions.node,
    nodecni: version,
    reference: 'plugins 1.9.1, cnitool 1.3.0',
    tools: [firstLine('ip', '-V'), firstLine('iptables', '-V'), firstLine('nft', '-v')],
  };
}

function firstLine(tool: string, ...args: readonly string[]): string {
  const { stdout, error } = spawnSync(tool, args, { encoding: 'utf8' });
  return error === undefined ? (stdout.split('\n')[0]?.trim() ?? '') : `no ${tool}`;
}

export function renderMachine(machine: Machine): string {
  const { cpus: count, cpuModel, kernel, node, nodecni, reference, tools } = machine;
  return `${count} × ${cpuModel}, Linux ${kernel}, nodecni ${nodecni} on Node ${node}, reference ${reference}; ${tools.join(', ')}`;
}
