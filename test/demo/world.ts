/**
 * The small world of the demo. This process's network namespace is the node; beside it there are two containers and,
 * behind a cable, a host that knows nothing of the containers' addresses:
 *
 *   red ─┐
 *        ├─ bridge ─ node 192.0.2.1 ─── 192.0.2.2 outside
 *   blue ┘           2001:db8::1        2001:db8::2
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readlinkSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { type Place, run } from './shell.ts';

export type Family = 4 | 6;
export const FAMILIES: readonly Family[] = [4, 6];

export const NODE_ADDRESS = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;
export const OUTSIDE_ADDRESS = { 4: '192.0.2.2', 6: '2001:db8::2' } as const;
const PREFIX = { 4: 24, 6: 64 } as const;

const CONF_DIR = '/etc/cni/net.d';
const NETWORKS_DIR = '/var/lib/cni/networks';
const RESULTS_DIR = '/var/lib/cni/results';

const TMPFS_MAGIC = 0x01021994;

/** Throws unless nothing that the demo does can reach the host: its own namespaces, and throw-away folders. */
export function requirePrivateWorld(): void {
  for (const kind of ['net', 'mnt']) {
    if (readlinkSync(`/proc/self/ns/${kind}`) === namespaceOfInit(kind))
      refuse(`this is the host's own ${kind} namespace`);
  }
  const links = JSON.parse(run('node', ['ip', '-json', 'link'])) as readonly { ifname: string; link_type: string }[];
  const used = links.find(({ link_type }) => link_type === 'ether');
  if (used !== undefined) refuse(`the network namespace is in use: it has the link ${used.ifname}`);
  for (const folder of ['/run', '/var/lib/cni', '/etc/cni']) {
    if (!existsSync(folder) || statfsSync(folder).type !== TMPFS_MAGIC) refuse(`${folder} is not a private tmpfs`);
  }
}

/** `undefined` where even root may not look: inside some containers. The other checks have to do there. */
function namespaceOfInit(kind: string): string | undefined {
  try {
    return readlinkSync(`/proc/1/ns/${kind}`);
  } catch {
    return undefined;
  }
}

function refuse(why: string): never {
  throw new Error(`${why}: start the demo with "make demo", which makes a world of its own for it`);
}

/** Makes the containers, the outside host and the cable to it, and installs the network configurations. */
export function buildWorld(conflistFolder: string): void {
  for (const name of ['red', 'blue', 'outside'] as const) {
    run('node', ['ip', 'netns', 'add', name]);
    run(name, ['ip', 'link', 'set', 'lo', 'up']);
  }
  run('node', ['ip', 'link', 'set', 'lo', 'up']);
  run('node', ['ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'outside']);
  plugIn('node', 'uplink', NODE_ADDRESS);
  plugIn('outside', 'eth0', OUTSIDE_ADDRESS);
  mkdirSync(CONF_DIR, { recursive: true });
  const files = readdirSync(conflistFolder).filter((file) => file.endsWith('.conflist'));
  for (const file of files) copyFileSync(join(conflistFolder, file), join(CONF_DIR, file));
}

function plugIn(place: Place, link: string, addresses: { readonly [F in Family]: string }): void {
  run(place, ['ip', 'link', 'set', link, 'up']);
  for (const family of FAMILIES) {
    const nodad = family === 6 ? ['nodad'] : [];
    run(place, ['ip', 'addr', 'add', `${addresses[family]}/${PREFIX[family]}`, 'dev', link, ...nodad]);
  }
}

/** All that an attachment may leave on a node. */
export interface Traces {
  readonly links: readonly string[];
  /** Rules (`-A CHAIN …`) and the plugins' chains (`:CNI-…`) of both families, as iptables-save prints them. */
  readonly rules: readonly string[];
  readonly leases: readonly string[];
  readonly results: readonly string[];
}

export function observeTraces(network: string): Traces {
  const links = JSON.parse(run('node', ['ip', '-json', 'link'])) as readonly { ifname: string }[];
  return {
    links: links.map(({ ifname }) => ifname),
    rules: ['iptables-save', 'ip6tables-save'].flatMap(rulesOf),
    leases: listOf(join(NETWORKS_DIR, network)).filter((file) => /^[\da-f.:]+$/.test(file)),
    results: listOf(RESULTS_DIR),
  };
}

function rulesOf(tool: string): readonly string[] {
  return (
    run('node', [tool])
      .split('\n')
      .filter((line) => /^(-A |:CNI-)/.test(line))
      // A chain's line ends with its packet counters.
      .map((line) => line.replace(/ \[\d+:\d+\]$/, ''))
  );
}

function listOf(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** What is there now and was not before. */
export function newTraces(before: Traces, now: Traces): Traces {
  const added = (kind: keyof Traces) => now[kind].filter((item) => !before[kind].includes(item));
  return { links: added('links'), rules: added('rules'), leases: added('leases'), results: added('results') };
}
