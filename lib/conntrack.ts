/** Connection tracking entries of UDP, which outlive the rules that made them (conntrack(8)). */
import { rmSync, writeFileSync } from 'node:fs';
import { run, ToolError } from './exec.ts';
import type { Family } from './net/ip.ts';

/** The entries of datagrams to one host port. Never all: the port is always part of the filter. */
export interface UdpFlows {
  readonly family: Family;
  readonly hostPort: number;
  /** Only those to this address of the host. */
  readonly hostIp?: string | undefined;
  /** Only those that were forwarded to this address. */
  readonly answeredBy?: string | undefined;
}

/** conntrack's exit status for an option it does not know. */
const BAD_USAGE = 2;

/**
 * Deletes `flows`, all with one child; none there is fine. `folder` may hold a file meanwhile: conntrack opens what it
 * reads by name, and a child's stdin is a socket, which has none. Throws ToolError, or code 102 without conntrack.
 */
export function deleteUdpFlows(flows: readonly UdpFlows[], folder: string): void {
  const commands = flows.map(deletion);
  if (commands.length < 2 || !deleteTogether(commands, folder)) for (const command of commands) deleteOne(command);
}

/** False when this conntrack is older than 1.4.7 (2022), which brought `--load-file`. */
function deleteTogether(commands: readonly string[][], folder: string): boolean {
  const path = `${folder}/conntrack.${process.pid}.${process.hrtime.bigint()}`;
  try {
    writeFileSync(path, `${commands.map((words) => words.join(' ')).join('\n')}\n`, { mode: 0o600, flag: 'wx' });
    run('conntrack', ['--load-file', path]);
    return true;
  } catch (error) {
    if (error instanceof ToolError && error.exitCode === BAD_USAGE) return false;
    throw error;
  } finally {
    rmSync(path, { force: true });
  }
}

/** The words of one conntrack command; everything in them is a number, an address or ours. */
export function deletion({ family, hostPort, hostIp, answeredBy }: UdpFlows): string[] {
  const words = ['-D', '-f', family === 4 ? 'ipv4' : 'ipv6', '-p', 'udp', '--orig-port-dst', String(hostPort)];
  if (hostIp !== undefined) words.push('--orig-dst', hostIp);
  if (answeredBy !== undefined) words.push('--reply-src', answeredBy);
  return words;
}

function deleteOne(command: readonly string[]): void {
  try {
    run('conntrack', command);
  } catch (error) {
    // That nothing matched is told by exit status 1, like every failure.
    if (error instanceof ToolError && error.stderr.includes(' 0 flow entries have been deleted')) return;
    throw error;
  }
}
