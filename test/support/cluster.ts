/**
 * Two nodes that the real flanneld joins, and what that takes:
 *
 *      node a            node b           outside        etcd
 *   192.0.2.11         192.0.2.12      192.0.2.100    192.0.2.1
 *       └──────────────────┴─── one wire ───┴─────────────┘
 *
 * The outside knows the nodes' addresses and nothing of pods. Only for the private namespaces that `make test` runs in.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Daemon } from './daemon.ts';
import { Machine } from './machine.ts';
import type { Family, JsonObject, PortMapping } from './networks.ts';
import { ours, type PluginEnded, reference, repository, withJson } from './plugins.ts';
import { exec, must, until } from './process.ts';
import { Namespace, requirePrivateNamespaces } from './world.ts';

export interface Addresses {
  readonly 4: string;
  readonly 6: string;
}

const etcdAddress: Addresses = { 4: '192.0.2.1', 6: '2001:db8:ffff::1' };
export const outsideAddress: Addresses = { 4: '192.0.2.100', 6: '2001:db8:ffff::100' };

const ENDPOINT = `http://${etcdAddress[4]}:2379`;
const CONFIG = '/coreos.com/network/config';
const SUBNETS = '/coreos.com/network/subnets/';

/** The list of the kube-flannel manifest, as it is installed. */
export const MANIFEST = readFileSync(`${repository}/conflist/10-flannel.conflist`, 'utf8');

/** The list's text, with a version where one is given. */
export function conflistText(cniVersion = '', keys: JsonObject = {}): string {
  if (cniVersion === '' && Object.keys(keys).length === 0) return MANIFEST;
  const { plugins, ...list } = JSON.parse(MANIFEST) as { plugins: JsonObject[] };
  const version = cniVersion === '' ? {} : { cniVersion };
  const changed = plugins.map((plugin) => (plugin.type === 'flannel' ? { ...plugin, ...keys } : plugin));
  return JSON.stringify({ ...list, ...version, plugins: changed });
}

export interface CniOptions {
  /** Of the list; none, as in the manifest, when absent. */
  readonly cniVersion?: string;
  readonly ports?: readonly PortMapping[];
  /** Further keys of the flannel plugin. */
  readonly keys?: JsonObject;
}

export interface Pod {
  readonly node: Node;
  readonly namespace: Namespace;
  readonly cniVersion: string;
  readonly ports: readonly PortMapping[];
  readonly address: Addresses;
  /** The result of ADD. */
  readonly result: JsonObject;
}

export class Node extends Machine {
  readonly address: Addresses;
  flanneld: Daemon | undefined;

  constructor(id: string, name: string, number: number) {
    super(id, name);
    this.address = { 4: `192.0.2.${number}`, 6: `2001:db8:ffff::${number}` };
  }

  /** Every flanneld of the node, with what it said. */
  readonly daemons: Daemon[] = [];

  /** Resolves when it has leased a subnet and written it down. */
  async startFlanneld(options: readonly string[] = []): Promise<void> {
    const flags = [`-etcd-endpoints=${ENDPOINT}`, '-iface=eth0', '-ip-masq', '-healthz-port=0', '-v=1', ...options];
    const flanneld = this.daemon('flanneld', [`${reference}/flanneld`, ...flags]);
    this.daemons.push(flanneld);
    this.flanneld = flanneld;
    await flanneld.said('Running backend.');
  }

  async endFlanneld(signal: NodeJS.Signals): Promise<void> {
    const pid = await this.flanneld?.childPid();
    await this.flanneld?.end(signal, pid);
  }

  /** subnet.env, key → value. */
  async subnetEnv(): Promise<Record<string, string>> {
    const lines = (await this.run('cat', '/run/flannel/subnet.env')).trim().split('\n');
    return Object.fromEntries(lines.map((line) => line.split('=') as [string, string]));
  }

  /** Runs a verb of the whole list by cnitool, as a runtime does. */
  async cni(verb: string, pod: Namespace, { cniVersion, ports = [], keys }: CniOptions = {}): Promise<PluginEnded> {
    mkdirSync(`${this.folder}/etc/net.d`, { recursive: true });
    writeFileSync(`${this.folder}/etc/net.d/10-flannel.conflist`, conflistText(cniVersion, keys));
    const env = {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      CNI_PATH: ours,
      ...(ports.length === 0 ? {} : { CAP_ARGS: JSON.stringify({ portMappings: ports }) }),
    };
    const command = this.enter([`${reference}/cnitool`, verb, 'cbr0', pod.path]);
    return withJson(await exec(command, { env, timeoutMs: 60_000 }));
  }

  async check(pod: Pod): Promise<PluginEnded> {
    return this.cni('check', pod.namespace, pod);
  }

  async del(pod: Pod): Promise<PluginEnded> {
    return this.cni('del', pod.namespace, pod);
  }
}

let clusters = 0;

export class Cluster implements AsyncDisposable {
  readonly id: string;
  readonly nodes: readonly [Node, Node];
  readonly outside: Namespace;
  readonly #store: Machine;
  readonly #pods: Namespace[] = [];
  #etcd: Daemon | undefined;

  constructor() {
    clusters += 1;
    this.id = `c${process.pid}-${clusters}`;
    this.nodes = [new Node(this.id, 'a', 11), new Node(this.id, 'b', 12)];
    this.outside = new Namespace(`${this.id}-out`);
    this.#store = new Machine(this.id, 'etcd');
  }

  async start(config: JsonObject): Promise<void> {
    requirePrivateNamespaces();
    await this.#store.start();
    await must(['ip', 'netns', 'add', this.outside.name]);
    await must(['ip', '-n', this.outside.name, 'link', 'set', 'lo', 'up']);
    await this.#layWire();
    await this.#startEtcd();
    await this.configure(config);
    await Promise.all(this.nodes.map((node) => this.boot(node)));
  }

  /** A node with its end of the wire and flanneld. */
  async boot(node: Node): Promise<void> {
    await node.start();
    await this.#connect(node.namespace, node.address);
    await node.startFlanneld();
  }

  /** Until each flanneld has heard of the other node, and nothing is tentative. */
  async untilJoined(families: readonly Family[]): Promise<void> {
    const [a, b] = this.nodes;
    for (const family of families) {
      await untilRouted(a, b, family);
      await untilRouted(b, a, family);
    }
  }

  /** What flanneld reads when it starts. */
  async configure(config: JsonObject): Promise<void> {
    await this.#ask('put', { key: base64(CONFIG), value: base64(JSON.stringify(config)) });
  }

  /** As if no node had ever had a subnet. */
  async forgetSubnets(): Promise<void> {
    // The key after the last of the folder.
    await this.#ask('deleterange', { key: base64(SUBNETS), range_end: base64(SUBNETS.replace(/\/$/, '0')) });
  }

  /** A new namespace, attached by the list. */
  async addPod(node: Node, options: CniOptions = {}): Promise<Pod> {
    const namespace = await this.newNamespace();
    const ended = await node.cni('add', namespace, options);
    if (ended.exitCode !== 0) throw new Error(`ADD on ${node.name} failed: ${ended.said}`);
    const result = ended.json ?? {};
    const { cniVersion = '', ports = [] } = options;
    return { node, namespace, cniVersion, ports, address: addressesIn(result), result };
  }

  async newNamespace(): Promise<Namespace> {
    const namespace = new Namespace(`${this.id}-pod${this.#pods.length + 1}`);
    this.#pods.push(namespace);
    await must(['ip', 'netns', 'add', namespace.name]);
    await namespace.run('ip', 'link', 'set', 'lo', 'up');
    return namespace;
  }

  /** What the daemons said, for a test that failed. */
  logs(): string {
    const daemons = [this.#etcd, ...this.nodes.flatMap((node) => node.daemons)];
    return daemons.map((daemon) => (daemon === undefined ? '' : `--- ${daemon.name}\n${daemon.log}`)).join('');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const namespace of [this.outside, ...this.#pods]) namespace[Symbol.dispose]();
    for (const machine of [...this.nodes, this.#store]) await machine[Symbol.asyncDispose]();
    const input = [this.outside, ...this.#pods].map(({ name }) => `netns del ${name}\n`).join('');
    // A test may have deleted some of them itself: -force goes on.
    await exec(['ip', '-force', '-batch', '-'], { input });
  }

  /** A bridge beside etcd is the wire. */
  async #layWire(): Promise<void> {
    const lines = ['link add name wire address 02:00:00:00:00:01 type bridge', ...addressLines('wire', etcdAddress)];
    await must(['ip', '-n', this.#store.namespace.name, '-batch', '-'], { input: lines.join('\n') });
    await this.#connect(this.outside, outsideAddress);
  }

  async #connect(namespace: Namespace, address: Addresses): Promise<void> {
    const port = `port${address[4].replace(/.*\./, '')}`;
    const wire = this.#store.namespace;
    // A namespace ends a little later than its name does; with it its end of the wire.
    await until(`the port ${port} to be free`, async () => {
      const peer = ['peer', 'name', 'eth0', 'netns', namespace.name] as const;
      const ended = await exec(['ip', '-n', wire.name, 'link', 'add', port, 'type', 'veth', ...peer]);
      return ended.exitCode === 0 ? true : undefined;
    });
    await must(['ip', '-n', wire.name, 'link', 'set', port, 'master', 'wire', 'up']);
    const routes =
      address === outsideAddress
        ? []
        : [`route add default via ${outsideAddress[4]}`, `route add ::/0 via ${outsideAddress[6]}`];
    const input = [...addressLines('eth0', address), ...routes].join('\n');
    await must(['ip', '-n', namespace.name, '-batch', '-'], { input });
  }

  async #startEtcd(): Promise<void> {
    const store = this.#store;
    const flags = [
      '--data-dir=/run/etcd',
      '--listen-client-urls=http://0.0.0.0:2379',
      `--advertise-client-urls=${ENDPOINT}`,
      '--listen-peer-urls=http://127.0.0.1:2380',
    ];
    this.#etcd = store.daemon('etcd', [`${reference}/etcd`, ...flags]);
    await this.#etcd.said('ready to serve client requests');
  }

  async #ask(method: string, body: JsonObject): Promise<void> {
    const script = `const [url, body] = process.argv.slice(1);
      const answer = await fetch(url, { method: 'POST', body });
      if (!answer.ok) throw new Error(await answer.text());`;
    const args = ['--no-warnings', '--input-type=module', '-e', script, '--', `${ENDPOINT}/v3/kv/${method}`] as const;
    await this.#store.namespace.run(process.execPath, ...args, JSON.stringify(body));
  }
}

/** A route to the whole network, as of the udp backend, will do. */
async function untilRouted(from: Node, to: Node, family: Family): Promise<void> {
  const env = await to.subnetEnv();
  const subnet = (family === 4 ? env.FLANNEL_SUBNET : env.FLANNEL_IPV6_SUBNET) ?? '';
  const probe = async () => {
    const [route] = await from.namespace.ip<{ dev?: string; gateway?: string }>(
      `-${family}`,
      'route',
      'get',
      subnet.replace(/\/.*/, ''),
    );
    const tentative = await from.namespace.ip('-6', 'address', 'show', 'tentative');
    const leadsThere = route?.dev?.startsWith('flannel') || route?.gateway === to.address[family];
    return leadsThere && tentative.every((link) => Object.keys(link as object).length === 0) ? true : undefined;
  };
  await until(`a way from ${from.name} to ${subnet}`, probe, 20_000);
}

function addressLines(link: string, address: Addresses): string[] {
  return [
    // No link-local address: it would be tentative for a second.
    `link set ${link} addrgenmode none`,
    `address add ${address[4]}/24 dev ${link}`,
    `address add ${address[6]}/64 dev ${link} nodad`,
    `link set ${link} up`,
  ];
}

/** Of a result of any version; '' where there is none. */
function addressesIn(result: JsonObject): Addresses {
  const { ip4, ip6, ips = [] } = result as { ip4?: { ip: string }; ip6?: { ip: string }; ips?: { address: string }[] };
  const all = [ip4?.ip, ip6?.ip, ...ips.map(({ address }) => address)].flatMap((cidr) => cidr?.split('/')[0] ?? []);
  return { 4: all.find((text) => !text.includes(':')) ?? '', 6: all.find((text) => text.includes(':')) ?? '' };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
