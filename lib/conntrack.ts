/** Connection tracking entries, which outlive the rules that made them (conntrack(8)). */
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { CniError } from './cni/errors.ts';
import { run, shareWithChildren, ToolError } from './exec.ts';
import { readSysctl } from './linux/sysctl.ts';
import { type Family, type Ip, parseIp } from './net/ip.ts';

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
 * Deletes `flows`; none there is fine. One child, two when there are many, none where nothing is tracked. `folder` lends a
 * file, which has no name there any more when it is read: conntrack opens what it reads by name, and a child's stdin is a
 * socket, which has none. Throws ToolError, or code 102 without conntrack.
 */
export function deleteUdpFlows(flows: readonly UdpFlows[], folder: string): void {
  if (nothingTracked()) return;
  const isListed = listed(flows, flowsIn);
  deleteAll(flows.filter(({ family, hostPort }) => isListed(`udp ${family} ${hostPort}`)).map(deletion), folder);
}

/**
 * Deletes the entries, of every protocol, of connections from and to `addresses`, and of those that were forwarded to
 * them; other entries stay. Children and errors as in deleteUdpFlows().
 */
export function deleteFlowsOf(addresses: readonly Ip[], folder: string): void {
  if (nothingTracked()) return;
  const isListed = listed(addresses, endsIn);
  deleteAll(
    addresses.flatMap(deletionsOf).filter(([, , , end, address]) => isListed(`${end} ${address}`)),
    folder,
  );
}

/** Without the kernel module there is no such file. */
function nothingTracked(): boolean {
  return (readSysctl('net/netfilter/nf_conntrack_count') ?? '0') === '0';
}

/** From so many on, the entries are listed first: each deletion walks the whole table in the kernel. */
const MANY = 4;

/** What tells whether there is an entry; of few nobody asks, the answer is yes. */
function listed(
  all: readonly { readonly family: Family }[],
  keysIn: (listing: string, family: Family) => string[],
): (key: string) => boolean {
  if (all.length < MANY) return () => true;
  const families = new Set(all.map(({ family }) => family));
  const keys = [...families].flatMap((family) => keysIn(run('conntrack', ['-L', '-f', familyName(family)]), family));
  const known = new Set(keys);
  return (key) => known.has(key);
}

/** The words of the commands that delete all entries of `ip`. */
export function deletionsOf({ family, text }: Ip): string[][] {
  return ['--orig-src', '--orig-dst', '--reply-src'].map((end) => ['-D', '-f', familyName(family), end, text]);
}

/** `--orig-src 10.1.0.5` for each end of each entry in the output of `conntrack -L`. */
export function endsIn(listing: string): string[] {
  return listing.split('\n').flatMap((line) => {
    const [origSrc, origDst, replySrc] = [...line.matchAll(/ (?:src|dst)=(\S+)/g)].map(
      ([, ip = '']) => parseIp(ip)?.text,
    );
    return [`--orig-src ${origSrc}`, `--orig-dst ${origDst}`, `--reply-src ${replySrc}`];
  });
}

/** `udp 4 53` for each host port of UDP in the output of `conntrack -L`. */
export function flowsIn(listing: string, family: Family): string[] {
  return [...listing.matchAll(/^udp .*? dport=(\d+)/gm)].map(([, port]) => `udp ${family} ${port}`);
}

function deleteAll(commands: readonly string[][], folder: string): void {
  if (commands.length < 2 || !deleteTogether(commands, folder)) for (const command of commands) deleteOne(command);
}

/** False when this conntrack is older than 1.4.7 (2022), which brought `--load-file`, or `folder` cannot be written. */
function deleteTogether(commands: readonly string[][], folder: string): boolean {
  try {
    loadCommands(`${commands.map((words) => words.join(' ')).join('\n')}\n`, folder);
    return true;
  } catch (error) {
    if (error instanceof CniError && !(error instanceof ToolError && error.exitCode === BAD_USAGE)) throw error;
    return false;
  }
}

/** By a file that whoever is killed meanwhile does not leave behind. */
function loadCommands(text: string, folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = `${folder}/conntrack.${process.pid}.${process.hrtime.bigint()}`;
  const fd = openSync(path, 'wx', 0o600);
  const unshare = shareWithChildren(fd);
  try {
    rmSync(path);
    writeFileSync(fd, text);
    run('conntrack', ['--load-file', `/proc/self/fd/${fd}`]);
  } finally {
    unshare();
    closeSync(fd);
  }
}

/** The words of one conntrack command; everything in them is a number, an address or ours. */
export function deletion({ family, hostPort, hostIp, answeredBy }: UdpFlows): string[] {
  const words = ['-D', '-f', familyName(family), '-p', 'udp', '--orig-port-dst', String(hostPort)];
  if (hostIp !== undefined) words.push('--orig-dst', hostIp);
  if (answeredBy !== undefined) words.push('--reply-src', answeredBy);
  return words;
}

function familyName(family: Family): string {
  return family === 4 ? 'ipv4' : 'ipv6';
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
