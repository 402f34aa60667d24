/**
 * The small world that an e2e test plays in: a node, a host outside of it, and pods, each a network namespace. The
 * outside knows the node's addresses and nothing of pods. Only for the private namespaces that `make test` runs in.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent } from './agent.ts';
import { type Command, must, until } from './process.ts';

/** Addresses by family: of the node and of the host outside, on the wire between them. */
export const addresses = {
  node: { 4: '192.0.2.1', 6: '2001:db8:ffff::1' },
  outside: { 4: '192.0.2.2', 6: '2001:db8:ffff::2' },
} as const;

/** State of runtimes and plugins; empty in the private namespaces of a test run. */
const STATE = '/var/lib/cni';
/** Hints of ours that mean nothing after the next boot. */
const RUN = '/run/nodecni';

export class Namespace implements Disposable {
  readonly name: string;
  /** Path, as in CNI_NETNS. */
  readonly path: string;
  #agent: Agent | undefined;

  constructor(name: string) {
    this.name = name;
    this.path = `/run/netns/${name}`;
  }

  /** The agent inside; started on first use. */
  get agent(): Agent {
    this.#agent ??= new Agent(this.path);
    return this.#agent;
  }

  /** A command that runs inside. */
  enter(command: Command): Command {
    return ['/usr/bin/nsenter', `--net=${this.path}`, ...command];
  }

  /** Runs a step of the test inside; returns its stdout. */
  run(...command: Command): Promise<string> {
    return must(this.enter(command));
  }

  /** Runs shell commands inside by one process, which is faster than one each; returns their stdouts by the same keys. */
  async runEach<K extends string>(commands: Readonly<Record<K, string>>): Promise<Record<K, string>> {
    const keys = Object.keys(commands) as K[];
    const mark = '@@@@';
    const script = keys.map((key) => `{ ${commands[key]}\n} || exit; echo ${mark}\n`).join('');
    // Not bash: with a socket on stdin it would read root's ~/.bashrc.
    const texts = (await this.run('/bin/sh', '-c', script)).split(`${mark}\n`);
    return Object.fromEntries(keys.map((key, index) => [key, texts[index] ?? ''])) as Record<K, string>;
  }

  /** Sets a kernel setting inside; `name` with slashes. */
  sysctl(name: string, value: number): Promise<string> {
    return this.run('bash', '-c', `echo ${value} >/proc/sys/${name}`);
  }

  /** The JSON that `ip -json …` prints inside. */
  async ip<T>(...args: string[]): Promise<T[]> {
    const text = await this.run('/usr/sbin/ip', '-json', '-details', ...args);
    return JSON.parse(text.trim() === '' ? '[]' : text) as T[];
  }

  [Symbol.dispose](): void {
    this.#agent?.[Symbol.dispose]();
  }
}

export class World implements AsyncDisposable {
  /** Short, and another for each world. */
  readonly id: string;
  /** Folder for the world's files. */
  readonly folder: string;
  readonly node: Namespace;
  readonly outside: Namespace;
  readonly pods: Namespace[] = [];

  constructor(id: string) {
    this.id = id;
    this.folder = `/run/nodecni-test/${id}`;
    this.node = new Namespace(`${id}-node`);
    this.outside = new Namespace(`${id}-out`);
  }

  /** dataDir for host-local. */
  get dataDir(): string {
    return `${this.folder}/networks`;
  }

  /** Put in the place of `STATE` by `apart`. */
  get stateDir(): string {
    return `${this.folder}/state`;
  }

  /** `command` with state of this world's own, for worlds that are there at the same time. */
  apart(command: Command): Command {
    mkdirSync(this.stateDir, { recursive: true });
    mkdirSync(`${this.folder}/run`, { recursive: true });
    mkdirSync(RUN, { recursive: true });
    const script = `mount --bind '${this.stateDir}' ${STATE} && mount --bind '${this.folder}/run' ${RUN} && exec "$@"`;
    return ['/usr/bin/unshare', '--mount', '--propagation', 'private', '/bin/sh', '-c', script, 'sh', ...command];
  }

  /** Leases `address` as host-local does. */
  async lease(address: string, containerId: string, ifname = 'eth0'): Promise<void> {
    mkdirSync(`${this.dataDir}/testnet`, { recursive: true });
    writeFileSync(`${this.dataDir}/testnet/${address}`, `${containerId}\r\n${ifname}`);
  }

  /** A new namespace to attach. */
  async pod(): Promise<Namespace> {
    const pod = new Namespace(`${this.id}-pod${this.pods.length + 1}`);
    await must(['ip', 'netns', 'add', pod.name]);
    this.pods.push(pod);
    // A container runtime brings lo up, by the loopback plugin.
    await pod.run('ip', 'link', 'set', 'lo', 'up');
    return pod;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const namespaces = [this.node, this.outside, ...this.pods];
    for (const namespace of namespaces) namespace[Symbol.dispose]();
    // What a test mounted in the world's folder.
    await must(['bash', '-c', 'umount "$1"/* 2>/dev/null || true', 'sh', this.folder]);
    const input = namespaces.map(({ name }) => `netns del ${name}\n`).join('');
    // A test may have deleted some of them itself: -force goes on.
    await must(['bash', '-c', 'ip -force -batch - 2>/dev/null || true'], { input });
    rmSync(this.folder, { recursive: true, force: true });
    // All worlds share this folder: what a failed test left in it is not the next one's.
    for (const name of readdirSync(STATE)) rmSync(`${STATE}/${name}`, { recursive: true, force: true });
  }
}

let worlds = 0;

export async function createWorld(): Promise<World> {
  requirePrivateNamespaces();
  worlds += 1;
  const world = new World(`w${process.pid}-${worlds}`);
  mkdirSync(world.dataDir, { recursive: true });
  const { node, outside } = world;
  const input = [
    `netns add ${node.name}`,
    `netns add ${outside.name}`,
    `link add name up0 netns ${node.name} type veth peer name out0 netns ${outside.name}`,
  ];
  await must(['ip', '-batch', '-'], { input: input.join('\n') });
  await Promise.all([wire(outside, 'out0', 'outside'), wire(node, 'up0', 'node')]);
  await until('the wire between node and outside', async () => {
    const [link] = await node.ip<{ operstate: string }>('link', 'show', 'up0');
    // The kernel adds the local route of the IPv6 address in its own time.
    const local = await node.ip('-6', 'route', 'show', 'table', 'local', addresses.node[6]);
    return link?.operstate === 'UP' && local.length > 0 ? true : undefined;
  });
  return world;
}

async function wire(namespace: Namespace, link: string, side: keyof typeof addresses): Promise<void> {
  const lines = [
    // No link-local address: it would be tentative for a second and blur comparisons.
    `link set ${link} addrgenmode none`,
    `address add ${addresses[side][4]}/24 dev ${link}`,
    `address add ${addresses[side][6]}/64 dev ${link} nodad`,
    `link set lo up`,
    `link set ${link} up`,
  ];
  if (side === 'node') {
    lines.push(`route add 0.0.0.0/0 via ${addresses.outside[4]}`, `route add ::/0 via ${addresses.outside[6]}`);
  }
  await must(['ip', '-n', namespace.name, '-batch', '-'], { input: lines.join('\n') });
}

export function requirePrivateNamespaces(): void {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  if (mounts.includes(' /var/lib/cni rw') && mounts.includes(' /etc/cni rw')) return;
  throw new Error('e2e tests change network and state: run them by `make test`, in namespaces of their own');
}
