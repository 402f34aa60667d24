/** The two sides of the chain, each with a node and pods of its own, and the real cnitool that calls it there. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { manyPods } from '../support/attach.ts';
import { type Conflist, type Family, network, type PortMapping } from '../support/networks.ts';
import { ours, reference } from '../support/plugins.ts';
import { createWorld, type Namespace, type World } from '../support/world.ts';
import { type ProcessCall, timeOnce } from './measure.ts';

export interface Side {
  readonly name: string;
  /** Folder of the executables. */
  readonly bin: string;
  readonly world: World;
  /** Pods that calls are timed with. */
  readonly pod: Namespace;
}

export type Backend = 'iptables' | 'nftables';
export type Verb = 'ADD' | 'CHECK' | 'DEL';

/** What the chain is made of. */
export interface Shape {
  readonly families: readonly Family[];
  readonly backend: Backend;
}

export const usual: Shape = { families: [4], backend: 'iptables' };

/** Room for more pods than any part makes. */
const SUBNETS = { 4: '10.99.0.0/16', 6: 'fd00:99::/64' } as const;
const NETWORK = 'bench';

/** Runs `action` with both sides, ours first; it holds the other against it. */
export async function withSides<T>(action: (sides: readonly Side[]) => Promise<T>): Promise<T> {
  await using own = await createWorld();
  await using other = await createWorld();
  const sides = [
    { name: 'nodecni', bin: ours, world: own },
    { name: 'reference', bin: reference, world: other },
  ];
  return await action(await Promise.all(sides.map(async (side) => ({ ...side, pod: await side.world.pod() }))));
}

/** bridge as gateway with masquerade and hairpin, host-local, portmap. */
export function conflistOf(world: World, { families, backend }: Shape): Conflist {
  const isNft = backend === 'nftables';
  return network(world, {
    name: NETWORK,
    subnets: families.map((family) => SUBNETS[family]),
    bridge: { hairpinMode: true, ...(isNft ? { ipMasqBackend: backend } : {}) },
    portmap: isNft ? { backend } : {},
  });
}

/** From now on cnitool finds a network of this shape at the side. */
export function configure({ world }: Side, shape: Shape): void {
  mkdirSync(configFolder(world), { recursive: true });
  writeFileSync(`${configFolder(world)}/${NETWORK}.conflist`, JSON.stringify(conflistOf(world, shape)));
}

function configFolder(world: World): string {
  return `${world.folder}/net.d`;
}

/** A call of cnitool on the side's node. */
export function cnitool(
  { world, bin }: Side,
  verb: Verb,
  { pod, ports }: { pod: Namespace; ports: readonly PortMapping[] },
): ProcessCall {
  const [path, ...args] = world.node.enter([`${reference}/cnitool`, verb.toLowerCase(), NETWORK, pod.path]);
  return {
    path,
    args,
    env: {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      NETCONFPATH: configFolder(world),
      CNI_PATH: bin,
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
