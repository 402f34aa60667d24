/** Attachments by the plugins themselves, in the order of a runtime, under container IDs of the test's choice. */

import { existsSync } from 'node:fs';
import { type Conflist, type JsonObject, type PortMapping, stdinFor } from './networks.ts';
import { addressesOf, callPlugin, ours, type PluginCall, type PluginEnded, succeed } from './plugins.ts';
import { must, until } from './process.ts';
import { Namespace, type World } from './world.ts';

export interface AttachOptions {
  readonly containerId: string;
  readonly pod: Namespace;
  readonly ifname?: string;
  readonly ports?: readonly PortMapping[];
  /** Folder of the executables; ours when absent. */
  readonly bin?: string;
  readonly wrap?: PluginCall['wrap'];
}

export interface Attached {
  readonly containerId: string;
  readonly ifname: string;
  readonly pod: Namespace;
  readonly ports: readonly PortMapping[];
  readonly address: string;
  /** Name of the pair's end on the node. */
  readonly hostLink: string;
  /** Of the last plugin. */
  readonly result: JsonObject;
  /** All that the plugins said on stderr. */
  readonly log: string;
}

/** ADD of bridge, and of portmap where there are ports. Throws when one fails. */
export async function attach(world: World, conflist: Conflist, options: AttachOptions): Promise<Attached> {
  const { containerId, pod, ifname = 'eth0', ports = [] } = options;
  const added = await succeed(addBridge(world, conflist, options));
  const mapped = ports.length === 0 ? undefined : await succeed(addPortmap(world, conflist, options, added.json));
  const { interfaces } = added.json as { interfaces: { name: string; sandbox?: string }[] };
  const own = interfaces.filter(({ sandbox = '' }) => sandbox === '');
  return {
    containerId,
    ifname,
    pod,
    ports,
    address: addressesOf(added.json)[0] ?? '',
    hostLink: own.at(-1)?.name ?? '',
    result: mapped?.json ?? added.json,
    log: `${added.stderr}${mapped?.stderr ?? ''}`,
  };
}

export function addBridge(world: World, conflist: Conflist, options: AttachOptions): Promise<PluginEnded> {
  return callPlugin(world, { ...addCall(options, 'bridge'), config: firstStdin(conflist) });
}

export function addPortmap(world: World, conflist: Conflist, options: AttachOptions, prevResult: JsonObject) {
  const config = stdinFor(conflist, 'portmap', { prevResult, runtimeConfig: { portMappings: options.ports } });
  return callPlugin(world, { ...addCall(options, 'portmap'), config });
}

/** For `callPlugin` or `startPlugin`, without a configuration. */
export function addCall(options: AttachOptions, plugin: string): PluginCall {
  const { containerId, pod, ifname = 'eth0', bin = ours, wrap } = options;
  return { plugin, command: 'ADD', containerId, pod, ifname, bin, ...(wrap === undefined ? {} : { wrap }) };
}

export interface DetachOptions {
  readonly containerId: string;
  readonly ifname?: string;
  /** CNI_NETNS; '' when absent, as for a namespace that is gone. */
  readonly netns?: string;
  readonly prevResult?: JsonObject;
  /** Those of ADD, as a runtime gives them again; ours does without. */
  readonly ports?: readonly PortMapping[];
  readonly bin?: string;
}

/** DEL of portmap where the network has it, then of bridge. Throws when one fails. */
export async function detach(world: World, conflist: Conflist, options: DetachOptions): Promise<void> {
  for (const plugin of conflist.plugins.map(({ type }) => String(type)).reverse()) {
    await succeed(delPlugin(world, conflist, { plugin, ...options }));
  }
}

export function delPlugin(
  world: World,
  conflist: Conflist,
  { plugin, netns = '', prevResult, ports, ...call }: DetachOptions & { plugin: string },
): Promise<PluginEnded> {
  const isForPorts = plugin === 'portmap' && ports !== undefined;
  const runtimeConfig = isForPorts ? { runtimeConfig: { portMappings: ports } } : {};
  const config = stdinFor(conflist, plugin, { prevResult, ...runtimeConfig });
  return callPlugin(world, { plugin, command: 'DEL', netns, config, ...call });
}

/** bridge's stdin, which is host-local's as well. */
export function firstStdin(conflist: Conflist): JsonObject {
  return stdinFor(conflist, String(conflist.plugins[0]?.type));
}

/** Both are in use: the second is a misnomer of an early text of the specification. */
export const VALID_KEYS = ['cni.dev/valid-attachments', 'cni.dev/attachments'] as const;

/** libcni exports these empty for GC and STATUS. */
const NO_CONTAINER = { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '', CNI_ARGS: '' };

/** One plugin's GC. `keys` are put into its configuration as they are. */
export function gcPlugin(world: World, config: JsonObject, plugin: string, keys: JsonObject): Promise<PluginEnded> {
  return callPlugin(world, { plugin, command: 'GC', config: { ...config, ...keys }, env: NO_CONTAINER });
}

export function statusOf(world: World, config: JsonObject, plugin: string, wrap?: PluginCall['wrap']) {
  const call: PluginCall = { plugin, command: 'STATUS', config, env: NO_CONTAINER };
  return callPlugin(world, wrap === undefined ? call : { ...call, wrap });
}

type Listed = Pick<Attached, 'containerId' | 'ifname'>;

/** The list as libcni sends it. */
export function validKeys(valid: readonly Listed[] | null): JsonObject {
  const list = valid?.map(({ containerId, ifname }) => ({ containerID: containerId, ifname })) ?? null;
  return Object.fromEntries(VALID_KEYS.map((key) => [key, list]));
}

/** GC of every plugin of the network in its order. Throws when one fails. */
export async function collectGarbage(world: World, conflist: Conflist, valid: readonly Listed[] | null) {
  const ended: PluginEnded[] = [];
  for (const plugin of conflist.plugins.map(({ type }) => String(type))) {
    ended.push(await succeed(gcPlugin(world, stdinFor(conflist, plugin), plugin, validKeys(valid))));
  }
  return ended;
}

/** Many new namespaces at once, with lo down: only for tests that need many. */
export async function manyPods(world: World, count: number): Promise<Namespace[]> {
  const first = world.pods.length + 1;
  const pods = Array.from({ length: count }, (_, index) => new Namespace(`${world.id}-pod${first + index}`));
  world.pods.push(...pods);
  await must(['ip', '-batch', '-'], { input: pods.map(({ name }) => `netns add ${name}\n`).join('') });
  return pods;
}

/** The pods' namespaces end, with all in them; no DEL comes. The kernel ends links in its own time: that is waited for. */
export async function killPods(pods: readonly Namespace[]): Promise<void> {
  const links = await Promise.all(pods.map((pod) => pod.ip<{ link_index?: number }>('link', 'show', 'type', 'veth')));
  const ends = new Set(links.flat().flatMap(({ link_index }) => link_index ?? []));
  for (const pod of pods) pod[Symbol.dispose]();
  await must(['ip', '-batch', '-'], { input: pods.map(({ name }) => `netns del ${name}\n`).join('') });
  const nodes = new Set(pods.map(({ name }) => name.replace(/-[^-]+$/, '-node')));
  for (const node of nodes) {
    if (ends.size === 0 || !existsSync(`/run/netns/${node}`)) continue;
    await until('the end of the links of dead pods', async () => {
      const left: { ifindex: number }[] = JSON.parse(
        await must(['ip', '-n', node, '-json', 'link', 'show', 'type', 'veth']),
      );
      return left.some(({ ifindex }) => ends.has(ifindex)) ? undefined : true;
    });
  }
}

/** `action` for each item, `width` at a time; the results in the order of the items. */
export async function inLanes<T, R>(items: readonly T[], width: number, action: (item: T) => Promise<R>): Promise<R[]> {
  const results = new Map<number, R>();
  const queue = items.entries();
  const lane = async () => {
    for (const [index, item] of queue) results.set(index, await action(item));
  };
  await Promise.all(Array.from({ length: width }, lane));
  return items.map((_, index) => results.get(index) as R);
}
