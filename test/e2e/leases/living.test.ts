/** Never the living: a leak is a nuisance, a stolen address an outage. */

import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addBridge, addCall, attach, firstStdin, killPods, manyPods } from '../../support/attach.ts';
import { holders, isReachable } from '../../support/lease-state.ts';
import { type Conflist, type JsonObject, network, stdinFor } from '../../support/networks.ts';
import {
  addressesOf,
  callPlugin,
  leases,
  mixedBin,
  ours,
  type PluginCall,
  reference,
  succeed,
} from '../../support/plugins.ts';
import { type Command, must, start } from '../../support/process.ts';
import { seeAllProcesses } from '../../support/visible-processes.ts';
import { createWorld, type Namespace, type World } from '../../support/world.ts';

/** Five addresses. */
const SUBNET = '10.44.5.0/29';
const SIZE = 5;

let processes: AsyncDisposable;

beforeAll(async () => {
  processes = await seeAllProcesses();
});

afterAll(() => processes?.[Symbol.asyncDispose]());

function small(world: World, ipam: JsonObject = {}): Conflist {
  return network(world, { subnets: [SUBNET], ipam });
}

/** ptp of the reference with our host-local: nothing is known of the pair, only of the namespace. */
function pointToPoint(world: World): { conflist: Conflist; bin: string } {
  const ipam = { type: 'host-local', dataDir: world.dataDir, ranges: [[{ subnet: SUBNET }]], reclaimMinAgeSeconds: 0 };
  const conflist = { cniVersion: '1.1.0', name: 'testnet', plugins: [{ type: 'ptp', ipam }] };
  return { conflist, bin: mixedBin(world, 'ptp', { ptp: reference, 'host-local': ours }) };
}

interface Scene extends AsyncDisposable {
  readonly world: World;
  readonly conflist: Conflist;
  readonly pods: readonly Namespace[];
  /** The one whose life is odd, and its container. */
  readonly pod: Namespace;
  readonly address: string;
  readonly hostLink: string;
  /** ADD of a new container by the plugin that made the others. */
  readonly press: (over?: Partial<PluginCall>) => ReturnType<typeof callPlugin>;
}

async function stage(kind: 'bridge' | 'ptp'): Promise<Scene> {
  const world = await createWorld();
  const { conflist, bin } = kind === 'bridge' ? { conflist: small(world), bin: ours } : pointToPoint(world);
  const pods = await manyPods(world, SIZE);
  const results: JsonObject[] = [];
  for (const pod of pods) {
    const call = { ...addCall({ containerId: pod.name, pod, bin }, kind), config: stdinFor(conflist, kind) };
    results.push((await succeed(callPlugin(world, call))).json);
  }
  const { interfaces } = results[0] as { interfaces: { name: string; sandbox?: string }[] };
  const press = async (over: Partial<PluginCall> = {}) => {
    const options = { containerId: 'press', pod: await world.pod(), bin };
    return callPlugin(world, { ...addCall(options, kind), config: stdinFor(conflist, kind), ...over });
  };
  return {
    world,
    conflist,
    pods,
    pod: pods[0] as Namespace,
    address: addressesOf(results[0] as JsonObject)[0] ?? '',
    hostLink: interfaces.filter(({ sandbox = '' }) => sandbox === '').at(-1)?.name ?? '',
    press,
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}

/** Nothing is given to the new one, by ADD in need nor by an operator's collection. */
async function expectNobodyTaken(scene: Scene, over: Partial<PluginCall> = {}): Promise<void> {
  const before = leases(scene.world);
  expect(Object.keys(before)).toHaveLength(SIZE);
  const refused = await scene.press(over);
  expect(refused.json, refused.said).toMatchObject({ code: 100 });
  expect(leases(scene.world), refused.said).toEqual(before);
}

/** Something that keeps a namespace though its path is gone: a script that says so and stays. Ended with the test. */
async function holder(command: Command): Promise<Disposable> {
  const { child, ended } = start(command, { timeoutMs: 60_000 });
  ended.catch(() => {});
  await once(child.stdout ?? child, 'data');
  return { [Symbol.dispose]: () => void child.kill('SIGKILL') };
}

const oddLives: {
  what: string;
  kinds: readonly ('bridge' | 'ptp')[];
  live: (scene: Scene) => Promise<Disposable | undefined>;
}[] = [
  {
    what: 'its link on the node was renamed',
    kinds: ['bridge', 'ptp'],
    live: async ({ world, hostLink }) => {
      await world.node.run('ip', 'link', 'set', hostLink, 'down');
      await world.node.run('ip', 'link', 'set', hostLink, 'name', 'renamed0');
      await world.node.run('ip', 'link', 'set', 'renamed0', 'up');
    },
  },
  {
    what: 'its link was renamed, only a process holds it',
    kinds: ['bridge', 'ptp'],
    live: async ({ world, pod, hostLink }) => {
      await world.node.run('ip', 'link', 'set', hostLink, 'down');
      await world.node.run('ip', 'link', 'set', hostLink, 'name', 'renamed0');
      return holdByProcess(pod);
    },
  },
  {
    what: 'its link was moved elsewhere',
    kinds: ['bridge', 'ptp'],
    live: async ({ world, hostLink }) => {
      await world.node.run('ip', 'link', 'set', hostLink, 'netns', world.outside.path);
    },
  },
  {
    what: 'its link was moved, only a process holds it',
    kinds: ['bridge', 'ptp'],
    live: async ({ world, pod, hostLink }) => {
      const held = await holdByProcess(pod);
      await world.node.run('ip', 'link', 'set', hostLink, 'netns', world.outside.path);
      return held;
    },
  },
  {
    what: 'only a descriptor holds its namespace',
    kinds: ['bridge', 'ptp'],
    live: ({ pod }) => holdByDescriptor(pod),
  },
  {
    what: 'only a process holds its namespace',
    kinds: ['bridge', 'ptp'],
    live: ({ pod }) => holdByProcess(pod),
  },
  {
    what: 'only a mount elsewhere holds its namespace',
    kinds: ['bridge', 'ptp'],
    live: async ({ world, pod }) => {
      await must(['bash', '-c', 'touch "$2" && mount --bind "$1" "$2"', 'sh', pod.path, `${world.folder}/elsewhere`]);
      await must(['ip', 'netns', 'del', pod.name]);
    },
  },
];

async function holdByDescriptor(pod: Namespace): Promise<Disposable> {
  const held = await holder(['/bin/bash', '-c', `exec 9<${pod.path}; echo held; exec sleep 60`]);
  await must(['ip', 'netns', 'del', pod.name]);
  return held;
}

async function holdByProcess(pod: Namespace): Promise<Disposable> {
  const held = await holder(pod.enter(['/bin/sh', '-c', 'echo held; exec sleep 60']));
  await must(['ip', 'netns', 'del', pod.name]);
  return held;
}

describe.each(['bridge', 'ptp'] as const)('a pod by %s keeps its address when', (kind) => {
  it.each(oddLives)('$what', async ({ live }) => {
    await using scene = await stage(kind);
    using _ = (await live(scene)) ?? { [Symbol.dispose]: () => {} };
    await expectNobodyTaken(scene);
  });

  it('the folder is seen from another network namespace', async () => {
    await using scene = await stage(kind);
    const elsewhere = await scene.world.pod();
    const wrap: PluginCall['wrap'] = (command) =>
      ['/usr/bin/nsenter', `--net=${elsewhere.path}`, ...command.slice(2)] as never;
    await expectNobodyTaken(scene, { wrap });
    // Not even those that are dead: it is not for that namespace to judge.
    await killPods([scene.pod]);
    await afterFruitlessSweep();
    await expectNobodyTaken(scene, { wrap });
  });

  it('the folder is seen from a second mount namespace that lacks its path', async () => {
    await using scene = await stage(kind);
    const other = await scene.world.pod();
    const hide = `mount -t tmpfs tmpfs /run/netns && touch /run/netns/new && mount --bind /proc/self/fd/9 /run/netns/new && exec "$@"`;
    const wrap: PluginCall['wrap'] = (command) => [
      '/bin/bash',
      '-c',
      `exec 8<${scene.world.node.path} 9<${other.path}; exec unshare --mount --propagation private bash -c '${hide}' sh nsenter --net=/proc/self/fd/8 "$@"`,
      'sh',
      ...command.slice(2),
    ];
    await expectNobodyTaken(scene, { wrap, netns: '/run/netns/new' });
  });
});

describe('a pod by ptp is unknown, dead or not', () => {
  it.each([
    { what: 'in another pid namespace', wrap: ['/usr/bin/unshare', '--pid', '--fork', '--mount-proc'] },
    {
      what: 'on a /proc that hides processes',
      wrap: [
        '/usr/bin/unshare',
        '--mount',
        '/bin/bash',
        '-c',
        'mount -t proc -o hidepid=2 proc /proc && exec "$@"',
        'sh',
      ],
    },
  ])('$what', async ({ wrap }) => {
    await using scene = await stage('ptp');
    await killPods([scene.pod]);
    await expectNobodyTaken(scene, { wrap: (command) => [...wrap, ...command] as unknown as Command });
    await afterFruitlessSweep();
    await succeed(scene.press());
    expect(holders(scene.world)[scene.address]).toBe('press');
  });

  it('while it is younger than "reclaimMinAgeSeconds"', async () => {
    await using scene = await stage('ptp');
    await killPods([scene.pod]);
    const { ipam, ...rest } = stdinFor(scene.conflist, 'ptp') as { ipam: JsonObject };
    await expectNobodyTaken(scene, { config: { ...rest, ipam: { ...ipam, reclaimMinAgeSeconds: 600 } } });
  });
});

describe('a path that leads to another namespace by now', () => {
  it('is no life of the former container, and no death of the next', async () => {
    await using scene = await stage('bridge');
    const { world, pod, conflist } = scene;
    await must(['ip', 'netns', 'del', pod.name]);
    await must(['ip', 'netns', 'add', pod.name]);
    const next = await attach(world, conflist, { containerId: 'next', pod });
    expect(next.address, 'the dead one makes room').toBe(scene.address);
    expect(await isReachable(world, next.address)).toBe(true);
    await expectNobodyTaken(scene);
    expect(holders(world)[next.address]).toBe('next');
  });
});

describe('what the reference did between two calls of ours', () => {
  async function ipam(world: World, conflist: Conflist, call: Omit<PluginCall, 'plugin'>) {
    return succeed(callPlugin(world, { plugin: 'host-local', config: firstStdin(conflist), bin: reference, ...call }));
  }

  it.each([{ who: 'another container' }, { who: 'the same container' }])(
    "DEL and ADD by $who: the lease is the reference's, whatever our record says",
    async ({ who }) => {
      await using world = await createWorld();
      const conflist = small(world);
      const [pod, ...others] = await manyPods(world, SIZE);
      if (pod === undefined) throw new Error('no pod');
      const { address } = await attach(world, conflist, { containerId: 'ours', pod });
      const containerId = who === 'another container' ? 'theirs' : 'ours';
      await ipam(world, conflist, { command: 'DEL', containerId: 'ours', netns: pod.path });
      const elsewhere = await world.pod();
      await ipam(world, conflist, { command: 'ADD', containerId, pod: elsewhere, args: `IP=${address}` });
      await killPods([pod]);
      for (const other of others) await attach(world, conflist, { containerId: other.name, pod: other });
      const before = leases(world);
      expect(before[address]).toBe(`${containerId}\r\neth0`);
      const refused = await addBridge(world, conflist, { containerId: 'press', pod: await world.pod() });
      expect(refused.json, refused.said).toMatchObject({ code: 100 });
      expect(leases(world)).toEqual(before);
      if (containerId === 'ours') return;
      // Nor does a late DEL of the one that had it.
      await succeed(
        callPlugin(world, {
          plugin: 'bridge',
          command: 'DEL',
          containerId: 'ours',
          netns: '',
          config: firstStdin(conflist),
        }),
      );
      expect(leases(world)).toEqual(before);
    },
  );
});

/** A fruitless sweep is not repeated for 5 seconds. */
function afterFruitlessSweep(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5_100));
}
