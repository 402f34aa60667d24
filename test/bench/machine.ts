/** What a measurement is worthless without: machine, kernel, versions, how busy it was, and the command. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release } from 'node:os';

export interface Run {
  readonly cpus: number;
  readonly cpuModel: string;
  readonly kernel: string;
  readonly node: string;
  readonly nodecni: string;
  readonly reference: string;
  readonly tools: readonly string[];
  readonly command: string;
  /** Processes that were at work in the minute before it began. */
  readonly load: number;
}

export function describeRun(command: string): Run {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  return {
    cpus: availableParallelism(),
    cpuModel: cpus()[0]?.model.trim() ?? 'unknown processor',
    kernel: release(),
    node: process.versions.node,
    nodecni: version,
    reference: 'plugins 1.9.1, cnitool 1.3.0',
    tools: [versionOf('ip', '-V'), versionOf('iptables', '-V'), versionOf('nft', '-v')],
    command,
    load: loadavg()[0] ?? Number.NaN,
  };
}

/** `iptables 1.8.9 (nf_tables)`. */
function versionOf(tool: string, option: string): string {
  const { stdout } = spawnSync(tool, [option], { encoding: 'utf8' });
  const [version] = /\d+\.[\d.]+( \((nf_tables|legacy)\))?/.exec(stdout ?? '') ?? ['of no known version'];
  return `${tool} ${version}`;
}

export function renderRun(run: Run): string {
  const { cpus: count, cpuModel, kernel, node, nodecni, reference, tools, command, load } = run;
  const versions = `nodecni ${nodecni} on Node ${node}, reference ${reference}; ${tools.join(', ')}`;
  return `\`${command}\` on ${count} × ${cpuModel}, Linux ${kernel}, load average at its begin ${load.toFixed(2)}; ${versions}.`;
}
