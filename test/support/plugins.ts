/** Calls of the executables under test: one plugin directly, or a whole chain through cnitool. */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { resolve } from 'node:path';
import type { Conflist, JsonObject, PortMapping } from './networks.ts';
import { type Command, type Ended, type Started, start } from './process.ts';
import type { Namespace, World } from './world.ts';

export const repository = resolve(import.meta.dirname, '../..');

/** Folders of executables: the reference's (v1.9.1, with cnitool v1.3.0), and the ones that the build made. */
export const reference = `${repository}/.cache/peers`;
/** NODECNI_TEST_BIN puts others in their place, which holds the tests themselves against the reference. */
export const ours = process.env.NODECNI_TEST_BIN ?? `${repository}/dist/bin`;

export type Verb = 'ADD' | 'CHECK' | 'DEL' | 'GC' | 'STATUS' | 'VERSION';

export interface PluginCall {
  readonly plugin: string;
  readonly command: Verb | string;
  /** Its namespace is CNI_NETNS. */
  readonly pod?: Namespace;
  /** Instead of the pod's path. */
  readonly netns?: string;
  /** `container1` when absent. */
  readonly containerId?: string;
  /** `eth0` when absent. */
  readonly ifname?: string;
  /** CNI_ARGS. */
  readonly args?: string;
  /** Stdin: JSON, or text as it is. */
  readonly config?: JsonObject | string;
  /** Over (or, where undefined, without) the usual variables. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Folder of the executable and CNI_PATH. */
  readonly bin?: string;
  /** Puts something in front of the command, as ./tools.ts does. */
  readonly wrap?: (command: Command) => Command;
  readonly timeoutMs?: number;
}

export interface PluginEnded extends Ended {
  /** Stdout as JSON; undefined when it is none. */
  readonly json: JsonObject | undefined;
  /** All it said, for a failing test's message. */
  readonly said: string;
}

/** Runs one plugin in the node's namespace. */
export async function callPlugin(world: World, call: PluginCall): Promise<PluginEnded> {
  return withJson(await startPlugin(world, call).ended);
}

/** The same without waiting for its end. */
export function startPlugin(world: World, call: PluginCall): Started {
  const bin = call.bin ?? ours;
  const command = world.node.enter([`${bin}/${call.plugin}`]);
  const env = defined({
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: call.containerId ?? 'container1',
    CNI_NETNS: call.netns ?? call.pod?.path,
    CNI_IFNAME: call.ifname ?? 'eth0',
    CNI_ARGS: call.args,
    CNI_PATH: bin,
    ...call.env,
    PATH: call.env !== undefined && 'PATH' in call.env ? call.env.PATH : '/usr/sbin:/usr/bin:/sbin:/bin',
  });
  const input = typeof call.config === 'string' ? call.config : JSON.stringify(call.config ?? {});
  const options = { env, input, ...(call.timeoutMs === undefined ? {} : { timeoutMs: call.timeoutMs }) };
  return start(call.wrap?.(command) ?? command, options);
}

export interface ChainOptions {
  readonly ifname?: string;
  readonly ports?: readonly PortMapping[];
  /** Addresses asked for. */
  readonly ips?: readonly string[];
  /** CNI_ARGS. */
  readonly args?: string;
  /** CNI_PATH. */
  readonly bin?: string;
  /** cnitool, or `cnictl` of the build, which takes the same arguments. */
  readonly tool?: string;
  readonly wrap?: (command: Command) => Command;
  readonly timeoutMs?: number;
}

/** Runs a whole chain by cnitool in the node's namespace. */
export async function chain(
  world: World,
  verb: 'add' | 'check' | 'del' | 'status' | 'gc',
  { conflist, pod, ...options }: { conflist: Conflist; pod: Namespace } & ChainOptions,
): Promise<PluginEnded> {
  const folder = placeConflist(world, conflist);
  const { ports: portMappings, ips } = options;
  const isAsked = portMappings !== undefined || ips !== undefined;
  const env = defined({
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    NETCONFPATH: folder,
    CNI_PATH: options.bin ?? ours,
    CAP_ARGS: isAsked ? JSON.stringify({ portMappings, ips }) : undefined,
    CNI_ARGS: options.args,
    CNI_IFNAME: options.ifname,
  });
  const tool = options.tool ?? `${reference}/cnitool`;
  const command = world.node.enter([tool, verb, conflist.name, pod.path]);
  const timeoutMs = options.timeoutMs ?? 60_000;
  return withJson(await start(options.wrap?.(command) ?? command, { env, timeoutMs }).ended);
}

let drafts = 0;

/** Into a folder for NETCONFPATH. By rename, since a call that runs at the same time may be reading the file. */
export function placeConflist(world: World, conflist: Conflist): string {
  const folder = `${world.folder}/net.d`;
  mkdirSync(folder, { recursive: true });
  drafts += 1;
  const draft = `${folder}/.draft-${drafts}`;
  writeFileSync(draft, JSON.stringify(conflist));
  renameSync(draft, `${folder}/${conflist.name}.conflist`);
  return folder;
}

/** A call that has to succeed. */
export async function succeed(ending: Promise<PluginEnded>): Promise<PluginEnded & { readonly json: JsonObject }> {
  const ended = await ending;
  if (ended.exitCode === 0) return { ...ended, json: ended.json ?? {} };
  throw new Error(`the call failed: ${ended.said}`);
}

/** A folder with one executable of each name, from wherever `sources` says. */
export function mixedBin(world: World, name: string, sources: Readonly<Record<string, string>>): string {
  const folder = `${world.folder}/bin-${name}`;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [plugin, source] of Object.entries(sources)) symlinkSync(`${source}/${plugin}`, `${folder}/${plugin}`);
  return folder;
}

/** Lease files of a network: address → content. */
export function leases(world: World, networkName = 'testnet'): Record<string, string> {
  const folder = `${world.dataDir}/${networkName}`;
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const addresses = names.filter((name) => name !== 'lock' && !name.startsWith('last_reserved_ip.'));
  return Object.fromEntries(addresses.map((name) => [name, readFileSync(`${folder}/${name}`, 'utf8')]));
}

/** Addresses of a result, without their prefix lengths. */
export function addressesOf(result: JsonObject): string[] {
  const { ips } = result as { ips?: { address: string }[] };
  return (ips ?? []).map(({ address }) => address.replace(/\/.*/, ''));
}

export function withJson(ended: Ended): PluginEnded {
  const how = ended.timedOut ? 'killed at the deadline' : `status ${ended.exitCode ?? ended.signal}`;
  const said = `${how}\nstdout: ${ended.stdout}\nstderr: ${ended.stderr}`;
  return { ...ended, json: parse(ended.stdout), said };
}

function parse(text: string): JsonObject | undefined {
  try {
    return JSON.parse(text) as JsonObject;
  } catch {
    // Not JSON; the test says what that means.
    return undefined;
  }
}

function defined(values: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const entries = Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return Object.fromEntries(entries);
}
