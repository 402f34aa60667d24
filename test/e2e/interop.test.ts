/** Ours and the reference's can take each other's place at any moment, and do the same to the kernel. */

import { describe, expect, it } from 'vitest';
import { evened } from '../support/differences.ts';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import {
  bothProtocols,
  type Family,
  type JsonObject,
  type NetworkOptions,
  network,
  stackNetwork,
  stacks,
  stdinFor,
  subnets,
} from '../support/networks.ts';
import { callPlugin, chain, mixedBin, ours, type PluginEnded, reference, succeed } from '../support/plugins.ts';
import { until } from '../support/process.ts';
import { type Snapshot, snapshot, withoutRandom } from '../support/snapshot.ts';
import { addresses, createWorld, type Namespace, type World } from '../support/world.ts';

const ports = bothProtocols(8080, 80);

/** Executables by side: which folder has which plugin. */
const mixtures = [
  { name: 'our bridge with the reference’s host-local', bridge: ours, 'host-local': reference, portmap: ours },
  { name: 'the reference’s bridge with our host-local', bridge: reference, 'host-local': ours, portmap: ours },
  { name: 'our bridge with the reference’s portmap', bridge: ours, 'host-local': ours, portmap: reference },
  { name: 'only portmap of ours', bridge: reference, 'host-local': reference, portmap: ours },
];

describe.each(stacks)('$stack', ({ families }) => {
  it.each(mixtures)('$name: ADD, CHECK, traffic, DEL', async ({ name: _, ...sources }) => {
    await using world = await createWorld();
    const bin = mixedBin(world, 'mixed', sources);
    const pod = await world.pod();
    await pod.agent.listen('pod', 80);
    const conflist = stackNetwork(world, families);
    const before = await dump(world);
    for (const verb of ['add', 'check'] as const) await succeed(chain(world, verb, { conflist, pod, ports, bin }));
    await expectServed(world, families);
    await succeed(chain(world, 'del', { conflist, pod, ports, bin }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it.each([
    { from: 'the reference', to: 'us', added: reference, deleted: ours },
    { from: 'us', to: 'the reference', added: ours, deleted: reference },
  ])('an attachment changes hands from $from to $to', async ({ added, deleted }) => {
    await using world = await createWorld();
    const pod = await world.pod();
    const conflist = stackNetwork(world, families);
    const before = await dump(world);
    await succeed(chain(world, 'add', { conflist, pod, ports, bin: added }));
    await succeed(chain(world, 'check', { conflist, pod, ports, bin: deleted }));
    await succeed(chain(world, 'del', { conflist, pod, ports, bin: deleted }));
    // A record of ours that the reference cannot know of goes with our own DEL.
    await succeed(chain(world, 'del', { conflist, pod, ports, bin: ours }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});

/** Again and again: after an ADD by the reference, IPv6 is lost on the way for a second or two. */
async function expectServed(world: World, families: readonly Family[]): Promise<void> {
  for (const family of families) {
    const question = { protocol: 'tcp', host: addresses.node[family], port: 8080, timeoutMs: 500 } as const;
    const answer = await until('an answer', () => world.outside.agent.ask(question).catch(() => undefined));
    expect(answer).toEqual({ name: 'pod', seen: addresses.outside[family] });
  }
}

interface Sample {
  readonly what: string;
  readonly options: NetworkOptions;
  readonly args?: string;
  readonly runtimeConfig?: JsonObject;
}

const samples: Sample[] = [
  { what: 'IPv4', options: {} },
  { what: 'IPv6', options: { subnets: [subnets[6]] } },
  { what: 'dual stack', options: { subnets: [subnets[4], subnets[6]] } },
  {
    what: 'two addresses of a family, no masquerade',
    options: { subnets: [subnets[4], '10.8.0.0/24'], bridge: { ipMasq: false, isDefaultGateway: false } },
  },
  { what: 'no gateway', options: { bridge: { isDefaultGateway: false, ipMasq: false } } },
  { what: 'isGateway alone', options: { bridge: { isDefaultGateway: false, isGateway: true } } },
  { what: 'mtu, hairpin', options: { bridge: { mtu: 1400, hairpinMode: true } } },
  { what: 'promiscuous bridge', options: { bridge: { promiscMode: true } } },
  { what: 'another bridge name', options: { bridge: { bridge: 'pods' } } },
  { what: 'layer 2 only', options: { bridge: { ipam: {}, isDefaultGateway: false, ipMasq: false } } },
  { what: 'forced address', options: { bridge: { forceAddress: true } } },
  { what: 'DNS of the config', options: { bridge: { dns: { nameservers: ['10.0.0.53'], search: ['example.com'] } } } },
  { what: 'a MAC by CNI_ARGS', options: {}, args: 'IgnoreUnknown=1;MAC=02:00:00:00:00:07' },
  { what: 'a MAC by runtimeConfig', options: {}, runtimeConfig: { mac: '02:00:00:00:00:08' } },
  { what: 'a MAC by args', options: { bridge: { args: { cni: { mac: '02:00:00:00:00:09' } } } } },
  {
    what: 'routes with all that they can have',
    options: {
      bridge: { isDefaultGateway: false, isGateway: true },
      ipam: {
        routes: [
          { dst: '10.9.0.0/16' },
          { dst: '10.10.0.0/16', gw: '10.7.0.9' },
          { dst: '10.11.0.0/16', priority: 50 },
          { dst: '10.12.0.0/16', table: 100 },
        ],
      },
    },
  },
  ...['0.2.0', '0.3.1', '0.4.0', '1.0.0'].map((cniVersion) => ({
    what: `cniVersion ${cniVersion}`,
    options: { cniVersion },
  })),
];

interface Attached {
  readonly ended: PluginEnded;
  readonly state: Snapshot;
}

async function attach(
  world: World,
  pod: Namespace,
  { options, args, runtimeConfig }: Sample,
  bin: string,
): Promise<Attached> {
  const config = stdinFor(network(world, options), 'bridge', runtimeConfig === undefined ? {} : { runtimeConfig });
  const call = { plugin: 'bridge', command: 'ADD', pod, bin, config, ...(args === undefined ? {} : { args }) };
  const ended = await succeed(callPlugin(world, call));
  return { ended, state: await snapshot(world, pod) };
}

describe('bridge ADD gives the same result and leaves the kernel in the same state', () => {
  it.each(samples)('$what', async (sample) => {
    await using one = await createWorld();
    await using two = await createWorld();
    const theirs = await attach(one, await one.pod(), sample, reference);
    const mine = await attach(two, await two.pod(), sample, ours);
    expect(withoutRandom(mine.ended.stdout)).toBe(withoutRandom(theirs.ended.stdout));
    expect(withoutRandom(evened(mine.state))).toEqual(withoutRandom(evened(theirs.state)));
  });
});

it('tells the MAC addresses that the links have', async () => {
  await using world = await createWorld();
  const pod = await world.pod();
  const { ended } = await attach(world, pod, { what: 'IPv4', options: {} }, ours);
  const { interfaces } = ended.json as { interfaces: { name: string; mac: string }[] };
  const links = [...(await world.node.ip<Named>('link')), ...(await pod.ip<Named>('link'))];
  for (const { name, mac } of interfaces) expect(links.find(({ ifname }) => ifname === name)?.address).toBe(mac);
});

interface Named {
  readonly ifname: string;
  readonly address: string;
}

describe('a chain with portmap leaves the same rules', () => {
  const chains: Sample[] = [
    { what: 'as usual', options: { portmap: {} } },
    { what: 'snat off', options: { portmap: { snat: false } } },
    { what: 'masqAll', options: { portmap: { masqAll: true } } },
    { what: 'another mark', options: { portmap: { markMasqBit: 20 } } },
    { what: 'a chain of somebody else', options: { portmap: { externalSetMarkChain: 'KUBE-MARK-MASQ' } } },
    {
      what: 'conditions',
      options: { portmap: { conditionsV4: ['!', '-d', '10.9.0.0/16'], conditionsV6: ['!', '-d', 'fd00:9::/64'] } },
    },
  ];
  const mappings = [
    ...ports,
    { hostPort: 9000, containerPort: 90, protocol: 'sctp' },
    { hostPort: 9001, containerPort: 91, protocol: 'tcp', hostIP: addresses.node[4] },
    { hostPort: 9002, containerPort: 92, protocol: 'tcp', hostIP: addresses.node[6] },
    { hostPort: 9003, containerPort: 93, protocol: 'udp', hostIP: '0.0.0.0' },
    ...Array.from({ length: 16 }, (__, index) => ({ hostPort: 10_000 + index, containerPort: 80, protocol: 'tcp' })),
  ];

  it.each(chains)('$what', async ({ options }) => {
    const states: Snapshot[] = [];
    for (const bin of [reference, ours]) {
      await using world = await createWorld();
      for (const tool of ['iptables', 'ip6tables']) await world.node.run(tool, '-t', 'nat', '-N', 'KUBE-MARK-MASQ');
      const pod = await world.pod();
      const conflist = network(world, { ...options, subnets: [subnets[4], subnets[6]] });
      const config = stdinFor(conflist, 'bridge');
      const { json: prevResult } = await succeed(
        callPlugin(world, { plugin: 'bridge', command: 'ADD', pod, bin, config }),
      );
      const mapped = stdinFor(conflist, 'portmap', { prevResult, runtimeConfig: { portMappings: mappings } });
      await succeed(callPlugin(world, { plugin: 'portmap', command: 'ADD', pod, bin, config: mapped }));
      states.push(await snapshot(world, pod));
    }
    const [theirs, mine] = states.map((state) => withoutRandom(evened(state)));
    expect(mine).toEqual(theirs);
  });
});
