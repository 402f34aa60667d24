/** The plugin by itself, without flanneld: every damage to what it keeps, each verb, other delegates, other versions. */

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { gcPlugin, statusOf, validKeys } from '../../support/attach.ts';
import { readShipped } from '../../support/conflists.ts';
import { changesSince, dump, NO_CHANGES } from '../../support/dump.ts';
import { leftSince } from '../../support/lease-state.ts';
import { bothProtocols, type Conflist, type JsonObject } from '../../support/networks.ts';
import {
  addressesOf,
  callPlugin,
  chain,
  leases,
  mixedBin,
  ours,
  type PluginCall,
  reference,
  startPlugin,
  succeed,
} from '../../support/plugins.ts';
import { must, until } from '../../support/process.ts';
import { addresses, createWorld, type Namespace, type World } from '../../support/world.ts';

/** Without `--ip-masq` of flanneld, so that there are rules to clean up as well. */
const SUBNET_ENV = [
  'FLANNEL_NETWORK=10.7.0.0/16',
  'FLANNEL_SUBNET=10.7.1.1/24',
  'FLANNEL_IPV6_NETWORK=fd00:7::/56',
  'FLANNEL_IPV6_SUBNET=fd00:7:0:1::1/64',
  'FLANNEL_MTU=1450',
  'FLANNEL_IPMASQ=false',
  '',
].join('\n');

const STATE = '/var/lib/cni/flannel';

const envPath = ({ folder }: World) => `${folder}/subnet.env`;

function configFor(world: World, over: JsonObject = {}): JsonObject {
  const delegate = { hairpinMode: true, isDefaultGateway: true };
  const ipam = { dataDir: world.dataDir };
  return { cniVersion: '1.1.0', name: 'testnet', type: 'flannel', subnetFile: envPath(world), delegate, ipam, ...over };
}

async function createNode(text = SUBNET_ENV): Promise<World> {
  const world = await createWorld();
  writeFileSync(envPath(world), text);
  return world;
}

/** ADD for `container1`, unless another is named. */
function add(world: World, pod: Namespace, call: Partial<PluginCall> = {}) {
  return callPlugin(world, { plugin: 'flannel', command: 'ADD', pod, config: configFor(world), ...call });
}

const stateFiles = () => (existsSync(STATE) ? readdirSync(STATE).sort() : []);

interface Damage {
  readonly what: string;
  readonly cause: (world: World, pod: Namespace) => Promise<unknown> | unknown;
}

const states: readonly Damage[] = [
  { what: 'whole', cause: () => {} },
  { what: 'empty', cause: () => writeFileSync(`${STATE}/container1`, '') },
  {
    what: 'torn',
    cause: () => writeFileSync(`${STATE}/container1`, readFileSync(`${STATE}/container1`, 'utf8').slice(0, 99)),
  },
  { what: 'missing', cause: () => rmSync(`${STATE}/container1`) },
];

const environments: readonly Damage[] = [
  { what: 'there', cause: () => {} },
  { what: 'gone', cause: (world) => rmSync(envPath(world)) },
];

const namespaces: readonly Damage[] = [
  { what: 'there', cause: () => {} },
  { what: 'gone', cause: (_world, pod) => must(['ip', 'netns', 'delete', pod.name]) },
];

const combinations = environments.flatMap((environment) =>
  namespaces.flatMap((namespace) => [true, false].map((hasResult) => ({ environment, namespace, hasResult }))),
);

it.each(states)('DEL with its state $what leaves nothing, whatever else is gone', async ({ cause }) => {
  await using world = await createNode();
  for (const { environment, namespace, hasResult } of combinations) {
    const why = `subnet.env ${environment.what}, namespace ${namespace.what}, prevResult ${hasResult}`;
    const pod = await world.pod();
    const before = await dump(world);
    const { json } = await succeed(add(world, pod));
    expect(Object.keys(leases(world))).toHaveLength(2);
    await cause(world, pod);
    await environment.cause(world, pod);
    await namespace.cause(world, pod);
    const config = configFor(world, hasResult ? { prevResult: json } : {});
    await succeed(callPlugin(world, { plugin: 'flannel', command: 'DEL', pod, config }));
    expect((await leftSince(world, before)).left, why).toEqual([]);
    await succeed(callPlugin(world, { plugin: 'flannel', command: 'DEL', pod, config }));
    writeFileSync(envPath(world), SUBNET_ENV);
  }
});

describe('another delegate', () => {
  it.each(['bridge', 'ptp'])('%s of the reference: ADD, DEL, and DEL without anything to go by', async (type) => {
    await using world = await createNode();
    const bin = mixedBin(world, 'mixed', { flannel: ours, [type]: reference, 'host-local': reference });
    const config = configFor(world, { cniVersion: '1.0.0', delegate: { type } });
    for (const isDamaged of [false, true]) {
      const pod = await world.pod();
      const before = await dump(world);
      await succeed(add(world, pod, { bin, config }));
      expect(stateFiles()).toEqual(['container1']);
      expect(Object.keys(leases(world))).toHaveLength(2);
      if (isDamaged) {
        rmSync(`${STATE}/container1`);
        rmSync(envPath(world));
        // The runtime takes the namespace away, and with it the link.
        await must(['ip', 'netns', 'delete', pod.name]);
      }
      await succeed(callPlugin(world, { plugin: 'flannel', command: 'DEL', pod, bin, config }));
      const { left } = await leftSince(world, before);
      expect(left).toEqual([]);
    }
  });

  it('that fails leaves nothing, neither of its own nor of ours', async () => {
    await using world = await createNode();
    const bin = mixedBin(world, 'mixed', { flannel: ours, ptp: reference, 'host-local': reference });
    const pod = await world.pod();
    await pod.run('ip', 'link', 'add', 'eth0', 'type', 'bridge');
    const before = await dump(world);
    const config = configFor(world, { cniVersion: '1.0.0', delegate: { type: 'ptp' } });
    const ended = await add(world, pod, { bin, config });
    expect(ended.exitCode, ended.said).toBe(1);
    const { left } = await leftSince(world, before);
    expect(left).toEqual([]);
  });

  it('that is nowhere is named, with where it was looked for', async () => {
    await using world = await createNode();
    const ended = await add(world, await world.pod(), { config: configFor(world, { delegate: { type: 'missing' } }) });
    expect(ended.json, ended.said).toMatchObject({
      code: 104,
      msg: `failed to find plugin "missing" in path [${ours}]`,
    });
    expect(stateFiles()).toEqual([]);
  });
});

describe('the original', () => {
  it('finds what it needs: the reference takes away, by the stored text, what we attached', async () => {
    await using world = await createNode();
    const pod = await world.pod();
    await succeed(add(world, pod));
    const stored = readFileSync(`${STATE}/container1`, 'utf8');
    const bin = mixedBin(world, 'reference', { bridge: reference, 'host-local': reference });
    await succeed(callPlugin(world, { plugin: 'bridge', command: 'DEL', pod, bin, config: stored }));
    expect(leases(world)).toEqual({});
    expect(await pod.ip('link', 'show', 'type', 'veth')).toEqual([]);
  });

  it('leaves what we need: what the reference attached by the stored text goes', async () => {
    await using world = await createNode();
    const pod = await world.pod();
    const before = await dump(world);
    await succeed(add(world, pod));
    const stored = readFileSync(`${STATE}/container1`, 'utf8');
    await succeed(callPlugin(world, { plugin: 'flannel', command: 'DEL', pod, config: configFor(world) }));
    const bin = mixedBin(world, 'reference', { bridge: reference, 'host-local': reference });
    const containerId = 'container2';
    await succeed(callPlugin(world, { plugin: 'bridge', command: 'ADD', pod, containerId, bin, config: stored }));
    writeFileSync(`${STATE}/${containerId}`, stored);
    await succeed(callPlugin(world, { plugin: 'flannel', command: 'DEL', pod, containerId, config: configFor(world) }));
    expect(await leftSince(world, before)).toEqual(NO_CHANGES);
  });
});

describe('a container', () => {
  it('with two interfaces keeps the state of each, and each DEL takes its own', async () => {
    await using world = await createNode();
    const pod = await world.pod();
    const before = await dump(world);
    await succeed(add(world, pod));
    await succeed(add(world, pod, { ifname: 'net1' }));
    expect(stateFiles()).toEqual(['container1', 'container1:net1']);
    rmSync(envPath(world));
    const del = (ifname: string) =>
      succeed(callPlugin(world, { plugin: 'flannel', command: 'DEL', pod, ifname, config: configFor(world) }));
    await del('net1');
    await del('net1');
    expect(stateFiles()).toEqual(['container1']);
    expect(Object.keys(leases(world))).toHaveLength(2);
    expect(await pod.ip('link', 'show', 'eth0')).toHaveLength(1);
    await del('eth0');
    const { left } = await leftSince(world, before);
    expect(left).toEqual([]);
  });

  it('that is attached twice keeps its state and its address', async () => {
    await using world = await createNode();
    const pod = await world.pod();
    await succeed(add(world, pod));
    const before = await dump(world);
    expect((await add(world, pod)).json).toMatchObject({ code: 101 });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('for which no address is left leaves no state', async () => {
    await using world = await createNode(SUBNET_ENV.replace('10.7.1.1/24', '10.7.1.1/30'));
    await succeed(add(world, await world.pod(), { containerId: 'one' }));
    const before = await dump(world);
    const ended = await add(world, await world.pod(), { containerId: 'two' });
    expect(ended.json, ended.said).toMatchObject({ code: 100 });
    expect(stateFiles()).toEqual(['one']);
    expect((await leftSince(world, before)).left.filter((line) => !line.includes('pod2'))).toEqual([]);
  });
});

describe('subnet.env', () => {
  it('is waited for as long as asked, and a SIGTERM ends the wait', async () => {
    await using world = await createWorld();
    const pod = await world.pod();
    const config = configFor(world, { subnetFileWaitMs: 60_000 });
    const call: PluginCall = { plugin: 'flannel', command: 'ADD', pod, config };
    const hopeless = startPlugin(world, { ...call, containerId: 'container2' });
    await untilWaiting(world, 1);
    hopeless.child.kill('SIGTERM');
    expect(JSON.parse((await hopeless.ended).stdout)).toMatchObject({ code: 105 });
    const waiting = startPlugin(world, call);
    await untilWaiting(world, 2);
    writeFileSync(envPath(world), SUBNET_ENV.slice(0, 60));
    writeFileSync(envPath(world), SUBNET_ENV);
    expect((await waiting.ended).exitCode).toBe(0);
    expect(stateFiles()).toEqual(['container1']);
  });

  it('of IPv6 alone gives IPv6 alone', async () => {
    await using world = await createNode(SUBNET_ENV.replace(/^FLANNEL_(NETWORK|SUBNET)=.*\n/gm, ''));
    const pod = await world.pod();
    const { json } = await succeed(add(world, pod));
    expect(addressesOf(json)).toEqual(['fd00:7:0:1::2']);
    const routes = await pod.run('ip', '-6', 'route');
    expect(routes).toContain('default via fd00:7:0:1::1 dev eth0');
    expect(routes).toContain('fd00:7::/56 via fd00:7:0:1::1 dev eth0');
  });
});

describe('the lists of conflist/', () => {
  const ports = bothProtocols(8080, 80);

  /** As it stands there, but for the version and where things are. */
  function list(world: World, file: string): Conflist {
    const { plugins, ...rest } = readShipped(file);
    const [flannel, ...others] = plugins;
    const own = { ...flannel, subnetFile: envPath(world), ipam: { dataDir: world.dataDir } };
    return { ...rest, cniVersion: '1.1.0', plugins: [own, ...others] };
  }

  // Lists change while pods are there.
  it.each([
    ['30-fast-flannel', '30-fast-flannel'],
    ['10-flannel', '30-fast-flannel'],
    ['30-fast-flannel', '10-flannel'],
  ])('%s: a pod is reached by its hostPort; %s: it is checked and deleted', async (from, to) => {
    await using world = await createNode();
    const pod = await world.pod();
    await pod.agent.listen('pod', 80);
    const before = await dump(world);
    const { stderr } = await succeed(chain(world, 'add', { conflist: list(world, from), pod, ports }));
    expect(stderr).toBe('');
    for (const family of [4, 6] as const) {
      const answer = await world.outside.agent.ask({ protocol: 'tcp', host: addresses.node[family], port: 8080 });
      expect(answer).toMatchObject({ name: 'pod' });
    }
    for (const verb of ['check', 'del'] as const) {
      await succeed(chain(world, verb, { conflist: list(world, to), pod, ports }));
    }
    expect(await leftSince(world, before)).toEqual(NO_CHANGES);
  });
});

/** The journal tells what a call is about to do. */
async function untilWaiting(world: World, count: number): Promise<void> {
  const journal = '/run/nodecni/journal';
  const waits = () => (existsSync(journal) ? readFileSync(journal, 'utf8').split(`wait for ${envPath(world)}`) : []);
  await until(`${count} calls that wait`, async () => (waits().length > count ? true : undefined));
}

describe('GC and STATUS', () => {
  it('GC takes what the runtime does not list, with its state', async () => {
    await using world = await createNode();
    const [one, two] = [await world.pod(), await world.pod()];
    await succeed(add(world, one, { containerId: 'one' }));
    const before = await dump(world);
    await succeed(add(world, two, { containerId: 'two' }));
    await succeed(add(world, two, { containerId: 'two', ifname: 'net1' }));
    rmSync(envPath(world));
    await succeed(gcPlugin(world, configFor(world), 'flannel', validKeys([{ containerId: 'one', ifname: 'eth0' }])));
    expect(stateFiles()).toEqual(['one']);
    expect((await leftSince(world, before)).left).toEqual([]);
    const ended = await gcPlugin(world, configFor(world), 'flannel', {});
    expect(ended.json, ended.said).toMatchObject({ code: 7 });
    expect(stateFiles()).toEqual(['one']);
  });

  it.each([
    ['missing', undefined, /no such file or directory/],
    ['half-written', SUBNET_ENV.slice(0, 60), /is missing FLANNEL_MTU, FLANNEL_IPMASQ/],
    ['torn within a key', 'FLANNEL_NETWORK\nFLANNEL_SUB', /is missing FLANNEL_NETWORK/],
  ])('STATUS fails with 50 while subnet.env is %s', async (_what, text, message) => {
    await using world = await createWorld();
    if (text !== undefined) writeFileSync(envPath(world), text);
    const ended = await statusOf(world, configFor(world), 'flannel');
    expect(ended.json, ended.said).toMatchObject({ code: 50, msg: expect.stringMatching(message) });
    writeFileSync(envPath(world), SUBNET_ENV);
    await succeed(statusOf(world, configFor(world), 'flannel'));
  });
});
