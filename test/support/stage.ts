/** Where a network of conflist/ is tried: node, LAN, the world behind it, and two guests, all of which answer. */

import { setBridgeNetfilter } from './bridge-netfilter.ts';
import { type Asked, readmeCommands } from './conflists.ts';
import { buildLan, lan } from './lan.ts';
import { bothProtocols, type Conflist, type Family } from './networks.ts';
import { chain, type PluginEnded, succeed } from './plugins.ts';
import { type Guest, type Party, type Scene, SERVICE } from './reach.ts';
import { addresses, createWorld, type Namespace, type World } from './world.ts';

export interface Stage extends AsyncDisposable {
  readonly world: World;
  /** A host behind the router of the LAN. */
  readonly beyond: Namespace;
  readonly pods: readonly [Namespace, Namespace];
}

/** For the network of `file`, with what the README has its operator do before. Bridged packets pass iptables. */
export async function buildStage(file: string): Promise<Stage> {
  const world = await createWorld();
  const beyond = await buildLan(world);
  await setBridgeNetfilter(world.node, 1);
  if (file === '13-bridged') await bridgeUplink(world.node);
  const pods = [await world.pod(), await world.pod()] as const;
  const listening: [Namespace, string][] = [
    [world.node, 'node'],
    [world.outside, 'outside'],
    [beyond, 'world'],
    [pods[0], 'guest1'],
    [pods[1], 'guest2'],
  ];
  await Promise.all(listening.map(([namespace, name]) => namespace.agent.listen(name, SERVICE)));
  return { world, beyond, pods, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() };
}

/** By the README's commands, on this world's uplink; IPv6, which a router would announce, by hand. */
async function bridgeUplink(node: Namespace): Promise<void> {
  const commands = readmeCommands('13-bridged').replace('uplink=eth0', 'uplink=up0');
  await node.run('bash', '-ec', commands);
  await node.run('ip', 'address', 'add', `${addresses.node[6]}/64`, 'dev', 'br0', 'nodad');
  await node.run('ip', 'route', 'add', '::/0', 'via', lan.router[6], 'dev', 'br0');
}

const FAMILIES: readonly Family[] = [4, 6];
const GUESTS = [0, 1] as const;
const HOST_PORT = 8080;

/** Attaches both guests in turn, each with a published port. */
export async function attachGuests(
  stage: Stage,
  conflist: Conflist,
  asked: readonly [Asked, Asked] = [{}, {}],
): Promise<Scene> {
  const { world, beyond } = stage;
  const guests = [
    await attachGuest(stage, { conflist, index: 0, ...asked[0] }),
    await attachGuest(stage, { conflist, index: 1, ...asked[1] }),
  ] as const;
  return {
    families: FAMILIES.filter((family) => guests[0].addresses[family].length > 0),
    node: { name: 'node', namespace: world.node, addresses: await nodeAddresses(world.node) },
    lan: party('outside', world.outside, addresses.outside, lan.router),
    world: party('world', beyond, lan.beyond),
    guests,
  };
}

/** CHECK or DEL of both. Throws when one fails. */
export async function eachGuest(stage: Stage, verb: 'check' | 'del', conflist: Conflist): Promise<void> {
  for (const index of GUESTS) await succeed(callGuest(stage, verb, { conflist, index }));
}

type Index = (typeof GUESTS)[number];

/** One call for one guest, with its published port. */
function callGuest(
  { world, pods }: Stage,
  verb: 'add' | 'check' | 'del',
  { conflist, index, ...asked }: { conflist: Conflist; index: Index } & Asked,
): Promise<PluginEnded> {
  const ports = bothProtocols(HOST_PORT + index, SERVICE);
  return chain(world, verb, { conflist, pod: pods[index], ports, ...asked });
}

async function attachGuest(stage: Stage, call: { conflist: Conflist; index: Index } & Asked): Promise<Guest> {
  const { json, stderr } = await succeed(callGuest(stage, 'add', call));
  if (stderr !== '') throw new Error(`a network of conflist/ has nothing to be warned of: ${stderr}`);
  const { ips } = json as { ips: { address: string; gateway: string }[] };
  const of = (family: Family) => ips.filter(({ address }) => address.includes(':') === (family === 6));
  return {
    name: `guest${call.index + 1}`,
    namespace: stage.pods[call.index],
    addresses: byFamily((family) => of(family).map(({ address }) => address.replace(/\/.*/, ''))),
    gateway: byFamily((family) => of(family)[0]?.gateway ?? ''),
    hostPort: HOST_PORT + call.index,
  };
}

async function nodeAddresses(node: Namespace): Promise<Party['addresses']> {
  const links = await node.ip<{ addr_info: { local: string; scope: string }[] }>('address');
  const found = links.flatMap(({ addr_info }) => addr_info.filter(({ scope }) => scope === 'global'));
  const own = found.map(({ local }) => local);
  return byFamily((family) => [addresses.node[family], ...own.filter((it) => it.includes(':') === (family === 6))]);
}

function party(name: string, namespace: Namespace, ...held: readonly Readonly<Record<Family, string>>[]): Party {
  return { name, namespace, addresses: byFamily((family) => held.map((it) => it[family])) };
}

function byFamily<T>(make: (family: Family) => T): Record<Family, T> {
  return { 4: make(4), 6: make(6) };
}
