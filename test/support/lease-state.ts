/** What stands in a network's folders, and whether anything is left in the world that should not be. */

import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { type Changes, changesSince, type Dump } from './dump.ts';
import { must, until } from './process.ts';
import { addresses, type Namespace, type World } from './world.ts';

/** Folder of the records of a network. */
export function recordFolder(world: World, network = 'testnet'): string {
  return `${world.dataDir}/.nodecni/${network}`;
}

export interface RecordFile {
  readonly path: string;
  readonly record: { readonly containerId: string; readonly state: string; readonly [key: string]: unknown };
}

/** The records of a network that are there and whole. */
export function records(world: World, network = 'testnet'): RecordFile[] {
  const folder = recordFolder(world, network);
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.json')) : [];
  return names.flatMap((name) => {
    const path = `${folder}/${name}`;
    const text = textOf(path);
    return text === undefined ? [] : [{ path, record: JSON.parse(text) }];
  });
}

/** `undefined` where another call has removed it meanwhile. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (existsSync(path)) throw error;
    return undefined;
  }
}

/** Path of one container's record. */
export function recordOf(world: World, containerId: string): string {
  const found = records(world).find(({ record }) => record.containerId === containerId);
  if (found === undefined) throw new Error(`no record of ${containerId}`);
  return found.path;
}

/** Lease files: address → container. Unlike `leases`, in spite of damage and of files that go meanwhile. */
export function holders(world: World, network = 'testnet'): Record<string, string> {
  const folder = `${world.dataDir}/${network}`;
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => /^[\da-f]*[.:][\da-f.:]+$/.test(name)) : [];
  const read = names.map((name) => [name, readLease(`${folder}/${name}`)] as const);
  return Object.fromEntries(read.filter((entry): entry is readonly [string, string] => entry[1] !== undefined));
}

/** The container; `undefined` where there is no file to read. */
function readLease(path: string): string | undefined {
  try {
    if (!lstatSync(path).isFile()) return undefined;
    return readFileSync(path, 'utf8').split('\r\n')[0] ?? '';
  } catch {
    // It went between the two.
    return undefined;
  }
}

/** Index and stamp of the last sweep stay by design. */
const STAYS = /^(\S*\/\.nodecni\/[^/]+\/(folder-seen|owners)|\/run\/nodecni\/\S*): /;

/** As `changesSince`, but for what stays by design. */
export async function leftSince(world: World, before: Dump): Promise<Changes> {
  const { left, lost } = await changesSince(world, before);
  return { left: left.filter((line) => !STAYS.test(line)), lost: lost.filter((line) => !STAYS.test(line)) };
}

/** Whether the pod answers the node: nobody listens at that port, and it is the pod's kernel that says so. */
export async function isReachable(world: World, address: string): Promise<boolean> {
  const answer = world.node.agent.ask({ protocol: 'tcp', host: address, port: 1 });
  return answer.then(
    () => true,
    (error: Error) => error.message.includes('ECONNREFUSED'),
  );
}

/** Names of those that answer at `port` of the node; '' for no answer. */
export async function whoAnswers(world: World, ports: readonly number[]): Promise<string[]> {
  const asked = ports.map((port) =>
    world.outside.agent.ask({ protocol: 'tcp', host: addresses.node[4], port, timeoutMs: 400 }).then(
      ({ name }) => name,
      () => '',
    ),
  );
  return Promise.all(asked);
}

/** A fake of another kernel's or file's content: `text` over the file at `path`, until it is disposed of. */
export async function over(world: World, path: string, text: string): Promise<AsyncDisposable> {
  const file = `${world.folder}/over${path.replaceAll('/', '-')}`;
  await must(['bash', '-c', 'printf "%s\\n" "$1" >"$2" && mount --bind "$2" "$3"', 'sh', text, file, path]);
  return { [Symbol.asyncDispose]: async () => void (await must(['umount', path])) };
}

/** Deleting a link or a namespace ends a little later than the command does. */
export function linkGone(node: Namespace, name: string): Promise<true> {
  return until(`${name} to go`, async () => {
    const links = await node.ip<{ ifname: string }>('link', 'show');
    return links.some(({ ifname }) => ifname === name) ? undefined : true;
  });
}
