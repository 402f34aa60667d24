/** The sides of the chain, each with a node, state and pods of its own, and the real cnitool that calls it there. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { manyPods } from '../support/attach.ts';
import { Daemon } from '../support/daemon.ts';
import { network, type PortMapping } from '../support/networks.ts';
import { ours, reference } from '../support/plugins.ts';
import { createWorld, type Namespace, type World } from '../support/world.ts';
import { type ProcessCall, timeOnce } from './measure.ts';
import { networkOf, type Shape, type SideName } from './shapes.ts';

export interface Side {
  readonly name: SideName;
  readonly world: World;
  /** Path of the mount namespace that plugins of this side run in. */
  readonly mounts: string;
  /** What calls are timed with. */
  readonly pod: Namespace;
}

export type Verb = 'ADD' | 'CHECK' | 'DEL';

const NETWORK = 'bench';
/** Where the state of runtime and plugins is, and ours that means nothing after the next boot. */
const STATE = '/var/lib/cni';
const RUN = '/run/nodecni';

/** Runs `action` with a new node for each of `names`. */
export async function withSides<T>(
  names: readonly SideName[],
  action: (sides: readonly Side[]) => Promise<T>,
): Promise<T> {
  await using made = new AsyncDisposableStack();
  const sides: Side[] = [];
  for (const name of names) {
    const world = made.use(await createWorld());
    const { pid } = made.use(await holdState(world));
    sides.push({ name, world, mounts: `/proc/${pid}/ns/mnt`, pod: await world.pod() });
  }
  return await action(sides);
}

/**
 * Holds mounts of the node's own, in which the state of runtime and plugins is the world's: one side's 400 pods are not
 * in the other's way. Namespaces of pods that are made later appear there, too.
 */
async function holdState({ stateDir, folder }: World): Promise<Daemon> {
  const runDir = `${folder}/run`;
  for (const path of [stateDir, runDir, RUN]) mkdirSync(path, { recursive: true });
  const script = `mount --bind "$1" ${STATE} && mount --bind "$2" ${RUN} && echo ready && exec cat`;
  const shell = ['/bin/sh', '-c', script, 'sh', stateDir, runDir];
  const holder = new Daemon('the mounts', ['/usr/bin/unshare', '--mount', '--propagation', 'slave', ...shell]);
  await holder.said('ready');
  return holder;
}

/** From now on cnitool finds a network of this shape at the side. */
export function configure({ name, world }: Side, shape: Shape): void {
  mkdirSync(configFolder(world), { recursive: true });
  const conflist = network(world, { name: NETWORK, ...networkOf(name, shape) });
  writeFileSync(`${configFolder(world)}/${NETWORK}.conflist`, JSON.stringify(conflist));
}

function configFolder(world: World): string {
  return `${world.folder}/net.d`;
}

/** A call of cnitool on the side's node. */
export function cnitool(
  { name, world, mounts }: Side,
  verb: Verb,
  { pod, ports }: { pod: Namespace; ports: readonly PortMapping[] },
): ProcessCall {
  const call = [`${reference}/cnitool`, verb.toLowerCase(), NETWORK, pod.path];
  return {
    path: '/usr/bin/nsenter',
    args: [`--mount=${mounts}`, `--net=${world.node.path}`, ...call],
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      NETCONFPATH: configFolder(world),
      CNI_PATH: name === 'reference' ? reference : ours,
      CAP_ARGS: JSON.stringify({ portMappings: ports }),
    },
  };
}

/** Milliseconds of each of `verbs` in turn, on the side's own pod. */
export function timeVerbs<V extends string>(
  side: Side,
  verbs: Readonly<Record<V, Verb>>,
  ports: readonly PortMapping[],
): Readonly<Record<V, number>> {
  const entries = Object.entries<Verb>(verbs).map(([name, verb]) => [
    name,
    timeOnce(`${verb} of ${side.name}`, cnitool(side, verb, { pod: side.pod, ports })),
  ]);
  return Object.fromEntries(entries) as Record<V, number>;
}

/** `count` ports from `first` on. */
export function portsFrom(first: number, count: number): PortMapping[] {
  return Array.from({ length: count }, (_, index) => ({
    hostPort: first + index,
    containerPort: 80 + index,
    protocol: 'tcp',
  }));
}

/** Namespaces that nothing is attached to yet. */
export function morePods({ world }: Side, count: number): Promise<Namespace[]> {
  return manyPods(world, count);
}
