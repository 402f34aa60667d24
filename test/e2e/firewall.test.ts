/**
 * Either firewall: which one is chosen, that rules in it are the reference's, and that nothing is left of them whoever
 * takes them away and whatever changed since.
 */

import { rmSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { attach, collectGarbage, detach, killPods, statusOf } from '../support/attach.ts';
import { changesSince, dump, NO_CHANGES, savedNftables, savedRules } from '../support/dump.ts';
import {
  bothProtocols,
  type Conflist,
  type Family,
  gateways,
  type JsonObject,
  type NetworkOptions,
  stackNetwork,
  stdinFor,
} from '../support/networks.ts';
import { callPlugin, chain, ours, type PluginCall, reference, succeed } from '../support/plugins.ts';
import { snapshot, withoutRandom } from '../support/snapshot.ts';
import { breakTools, hostWith } from '../support/tools.ts';
import { addresses, createWorld, type World } from '../support/world.ts';

const families: readonly Family[] = [4, 6];
const ports = bothProtocols(8080, 80);

/** A network whose plugins are told which firewall to use, or not. */
function testnet(world: World, backend?: string, over: NetworkOptions = {}): Conflist {
  if (backend === undefined) return stackNetwork(world, families, over);
  return stackNetwork(world, families, {
    ...over,
    bridge: { ipMasqBackend: backend, ...over.bridge },
    portmap: { backend, ...over.portmap },
  });
}

/** Where rules of containers are, and of how many. */
async function held(world: World) {
  const inNft = (await savedNftables(world.node)).filter(
    (line) => / comment "/.test(line) && /dnat|masquerade/.test(line),
  );
  const inIptables = (await savedRules(world.node)).filter((line) => /^-A .*-j (DNAT|CNI-[0-9a-f]{24}) ?/.test(line));
  return { iptables: inIptables.length > 0, nftables: inNft.length > 0 };
}

const NOWHERE = { iptables: false, nftables: false };
const IN = { iptables: { iptables: true, nftables: false }, nftables: { iptables: false, nftables: true } };

async function expectServed(world: World): Promise<void> {
  for (const family of families) {
    const question = { protocol: 'tcp', host: addresses.node[family], port: 8080, timeoutMs: 4_000 } as const;
    expect(await world.outside.agent.ask(question)).toEqual({ name: 'pod', seen: addresses.outside[family] });
  }
}

describe('in nftables', () => {
  it.each([
    { from: 'the reference', to: 'us', added: reference, deleted: ours },
    { from: 'us', to: 'the reference', added: ours, deleted: reference },
    { from: 'us', to: 'us', added: ours, deleted: ours },
  ])('an attachment changes hands from $from to $to: CHECK, DEL', async ({ added, deleted }) => {
    await using world = await createWorld();
    const pod = await world.pod();
    const conflist = testnet(world, 'nftables');
    const before = await dump(world);
    await succeed(chain(world, 'add', { conflist, pod, ports, bin: added }));
    expect(await held(world)).toEqual(IN.nftables);
    await succeed(chain(world, 'check', { conflist, pod, ports, bin: deleted }));
    await succeed(chain(world, 'del', { conflist, pod, ports, bin: deleted }));
    expect(await held(world)).toEqual(NOWHERE);
    // A record of ours that the reference cannot know of goes with our own DEL.
    await succeed(chain(world, 'del', { conflist, pod, ports, bin: ours }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  const mappings = [
    ...ports,
    { hostPort: 9000, containerPort: 90, protocol: 'sctp' },
    { hostPort: 9001, containerPort: 91, protocol: 'tcp', hostIP: addresses.node[4] },
    { hostPort: 9002, containerPort: 92, protocol: 'tcp', hostIP: addresses.node[6] },
    { hostPort: 9003, containerPort: 93, protocol: 'udp', hostIP: '0.0.0.0' },
  ];

  it.each([
    { what: 'as usual', portmap: {} },
    { what: 'snat off', portmap: { snat: false } },
    { what: 'another mark', portmap: { markMasqBit: 20 } },
  ])("the rules are the reference's: $what", async ({ portmap }) => {
    const states = [];
    for (const bin of [reference, ours]) {
      await using world = await createWorld();
      const pod = await world.pod();
      const conflist = testnet(world, 'nftables', { portmap });
      for (const containerId of ['first', 'second']) {
        const call: PluginCall = { plugin: 'bridge', command: 'ADD', pod, bin, containerId, ifname: containerId };
        const config = stdinFor(conflist, 'bridge');
        const { json: prevResult } = await succeed(callPlugin(world, { ...call, config }));
        const mapped = stdinFor(conflist, 'portmap', { prevResult, runtimeConfig: { portMappings: mappings } });
        const own = containerId === 'first' ? mapped : { ...mapped, runtimeConfig: { portMappings: ownPorts } };
        await succeed(callPlugin(world, { ...call, plugin: 'portmap', config: own }));
      }
      const tables = (await snapshot(world))['node nftables'] ?? [];
      // What the reference lacks: test/interop/differences.ts has it.
      states.push(withoutRandom(tables.filter((line) => !line.includes('cni_localnet_guard'))));
    }
    expect(states[1]).toEqual(states[0]);
    expect(states[0]?.join('\n')).toContain('masquerade comment');
  });

  const ownPorts = [{ hostPort: 8081, containerPort: 80, protocol: 'tcp' }];

  it('conditions and masqAll are of their own container', async () => {
    await using world = await createWorld();
    const before = await dump(world);
    const [one, other] = [
      testnet(world, 'nftables', { portmap: { conditionsV4: ['ip', 'saddr', '!=', '{', addresses.outside[4], '}'] } }),
      testnet(world, 'nftables', { portmap: { masqAll: true } }),
    ] as const;
    const pods = [];
    for (const [index, conflist] of [one, other].entries()) {
      const pod = await world.pod();
      await pod.agent.listen(`pod${index}`, 80);
      const own = bothProtocols(8080 + index, 80);
      for (const verb of ['add', 'check'] as const) await succeed(chain(world, verb, { conflist, pod, ports: own }));
      pods.push({ conflist, pod, ports: own });
    }
    const ask = (port: number) =>
      world.outside.agent.ask({ protocol: 'tcp', host: addresses.node[4], port, timeoutMs: 500 });
    await expect(ask(8080)).rejects.toThrow('no answer');
    expect(await ask(8081)).toEqual({ name: 'pod1', seen: gateways[4] });
    for (const { conflist, pod, ports: own } of pods) await succeed(chain(world, 'del', { conflist, pod, ports: own }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('takes one child for an ADD and few for a DEL, whatever the families and however many ports', async () => {
    await using world = await createWorld();
    const pod = await world.pod();
    const conflist = testnet(world, 'nftables');
    const many = Array.from({ length: 1000 }, (_, index) => ({
      hostPort: 9000 + index,
      containerPort: 80,
      protocol: 'tcp',
    }));
    const prevResult = resultOf(pod.path);
    const config = stdinFor(conflist, 'portmap', { prevResult, runtimeConfig: { portMappings: many } });
    // The first ADD of a node also looks for rules of others.
    for (const command of ['ADD', 'DEL']) await succeed(callPlugin(world, { plugin: 'portmap', command, pod, config }));
    for (const [command, expected] of [
      ['ADD', ['-f -']],
      ['DEL', ['--json list table', '--json list table', '-f -']],
    ] as const) {
      const { wrap, calls } = breakTools(world, { fault: 'fail', call: 1_000 });
      await succeed(callPlugin(world, { plugin: 'portmap', command, pod, config, wrap }));
      const started = calls().filter((line) => line.startsWith('nft '));
      expect(started.map((line) => line.split(' ').slice(1, 4).join(' '))).toEqual(expected);
    }
    expect(await held(world)).toEqual(NOWHERE);
  });

  it('a DEL on one network leaves what the same container has on another', async () => {
    await using world = await createWorld();
    const pod = await world.pod();
    const before = await dump(world);
    const nets = ['one', 'two'].map((name, index) => {
      const bridge = { bridge: `cni${index}`, ipam: undefined };
      const { ipam: _, ...keys } = bridge;
      const conflist = testnet(world, 'nftables', { name, bridge: keys });
      return withSubnet(world, conflist, `10.7.${index + 1}.0/24`);
    });
    const attached = [];
    for (const [index, conflist] of nets.entries()) {
      const own = [{ hostPort: 8080 + index, containerPort: 80, protocol: 'tcp' }];
      attached.push(await attach(world, conflist, { containerId: 'both', pod, ifname: `eth${index}`, ports: own }));
    }
    const [first, second] = nets as [Conflist, Conflist];
    await detach(world, first, { containerId: 'both', ifname: 'eth0', netns: pod.path });
    const left = (await savedNftables(world.node)).filter((line) => line.includes('dnat to'));
    expect(left.map((line) => line.trim())).toEqual([
      `tcp dport 8081 dnat to ${attached[1]?.address}:80 comment "both"`,
    ]);
    await detach(world, second, { containerId: 'both', ifname: 'eth1', netns: pod.path });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it.each([
    { what: 'a hostPort', spoil: 'flush chain ip cni_hostport hostports', names: 'tcp dport 8080 dnat to' },
    { what: 'a shared rule', spoil: 'flush chain ip6 cni_hostport output', names: 'fib daddr type local' },
    { what: 'all of portmap', spoil: 'delete table ip cni_hostport', names: 'table ip cni_hostport' },
    { what: 'a masquerade rule', spoil: 'flush chain inet cni_plugins_masquerade masq_checks', names: 'ip saddr' },
    {
      what: 'all of masquerade',
      spoil: 'delete table inet cni_plugins_masquerade',
      names: 'cni_plugins_masquerade is gone',
    },
  ])('CHECK names what is missing: $what; DEL succeeds', async ({ spoil, names }) => {
    await using world = await createWorld();
    const pod = await world.pod();
    const conflist = testnet(world, 'nftables');
    const before = await dump(world);
    await succeed(chain(world, 'add', { conflist, pod, ports }));
    await world.node.run('nft', spoil);
    const { exitCode, stderr } = await chain(world, 'check', { conflist, pod, ports });
    expect(exitCode).not.toBe(0);
    expect(stderr).toContain(names);
    await succeed(chain(world, 'del', { conflist, pod, ports }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it.each([
    { who: 'ours', bin: ours, others: 'nftables' },
    { who: 'the reference', bin: reference, others: undefined },
  ])('GC takes what the dead left that $who attached, and nothing of the living', async ({ bin, others }) => {
    await using world = await createWorld();
    const conflist = testnet(world, 'nftables');
    const living = await attach(world, testnet(world, others), {
      containerId: 'living',
      pod: await world.pod(),
      ports: ownPorts,
    });
    const before = await dump(world);
    const dead = await world.pod();
    await attach(world, conflist, { containerId: 'dead', pod: dead, ports, bin });
    await killPods([dead]);
    await collectGarbage(world, conflist, [living]);
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    await collectGarbage(world, conflist, []);
    expect(await held(world)).toEqual(NOWHERE);
  });

  it('a second ADD that fails leaves the rules of the first', async () => {
    await using world = await createWorld();
    const pod = await world.pod();
    const conflist = testnet(world, 'nftables');
    const prevResult = resultOf(pod.path);
    const call = (hostPort: number): PluginCall => {
      const runtimeConfig = { portMappings: [{ hostPort, containerPort: 80, protocol: 'tcp' }] };
      return {
        plugin: 'portmap',
        command: 'ADD',
        pod,
        config: stdinFor(conflist, 'portmap', { prevResult, runtimeConfig }),
      };
    };
    await succeed(callPlugin(world, call(8080)));
    const before = await dump(world);
    const { wrap, fired } = breakTools(world, { fault: 'fail', tools: ['nft'], call: 3 });
    expect(await callPlugin(world, { ...call(8081), wrap })).toMatchObject({ exitCode: 1, json: { code: 102 } });
    expect(fired()).toBe(true);
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    await succeed(callPlugin(world, call(8081)));
    expect((await savedNftables(world.node)).filter((line) => line.includes('dnat to')).join()).toContain('dport 8081');
  });
});

describe('an attachment outlives a change of firewall', () => {
  it.each([
    { added: 'iptables', deleted: 'nftables', bin: ours },
    { added: 'nftables', deleted: 'iptables', bin: ours },
    { added: 'iptables', deleted: 'nftables', bin: reference },
    { added: 'nftables', deleted: 'iptables', bin: reference },
  ] as const)('added in $added, configured for $deleted at CHECK and DEL', async ({ added, deleted, bin }) => {
    await using world = await createWorld();
    const pod = await world.pod();
    const before = await dump(world);
    await succeed(chain(world, 'add', { conflist: testnet(world, added), pod, ports, bin }));
    expect(await held(world)).toEqual(IN[added]);
    const conflist = testnet(world, deleted);
    for (const verb of ['check', 'del'] as const) await succeed(chain(world, verb, { conflist, pod, ports }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('a second ADD in the other firewall takes the rules of the first', async () => {
    await using world = await createWorld();
    const pod = await world.pod();
    for (const backend of ['iptables', 'nftables', 'iptables'] as const) {
      const config = stdinFor(testnet(world, backend), 'portmap', {
        prevResult: resultOf(pod.path),
        runtimeConfig: { portMappings: ports },
      });
      await succeed(callPlugin(world, { plugin: 'portmap', command: 'ADD', pod, config }));
      expect(await held(world)).toEqual(IN[backend]);
    }
  });
});

describe('the choice', () => {
  it.each([
    { what: 'nothing is there', prepare: [], backend: 'iptables' },
    {
      what: 'a table of the reference is there',
      prepare: ['nft', 'add', 'table', 'ip', 'cni_hostport'],
      backend: 'nftables',
    },
    { what: 'kube-proxy uses nftables', prepare: ['nft', 'add', 'table', 'ip', 'kube-proxy'], backend: 'nftables' },
    {
      what: 'kube-proxy uses iptables',
      prepare: ['iptables', '-t', 'nat', '-N', 'KUBE-SERVICES'],
      backend: 'iptables',
    },
    { what: 'firewalld uses nftables', prepare: ['nft', 'add', 'table', 'inet', 'firewalld'], backend: 'nftables' },
  ] as const)('is $backend where $what', async ({ prepare, backend }) => {
    await using world = await createWorld();
    const [tool, ...args] = prepare;
    if (tool !== undefined) await world.node.run(tool, ...args);
    const before = await dump(world);
    const pod = await world.pod();
    const conflist = testnet(world);
    await succeed(chain(world, 'add', { conflist, pod, ports }));
    expect(await held(world)).toEqual(IN[backend]);
    await succeed(chain(world, 'del', { conflist, pod, ports }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('is made once per boot: later ADDs start no child for it', async () => {
    await using world = await createWorld();
    const conflist = testnet(world);
    const pod = await world.pod();
    const prevResult = resultOf(pod.path);
    const started: string[][] = [];
    for (const [index, containerId] of ['first', 'second'].entries()) {
      const runtimeConfig = { portMappings: bothProtocols(8080 + index, 80) };
      const config = stdinFor(conflist, 'portmap', { prevResult, runtimeConfig });
      const { wrap, calls } = breakTools(world, { fault: 'fail', call: 1_000 });
      await succeed(callPlugin(world, { plugin: 'portmap', command: 'ADD', pod, config, containerId, wrap }));
      started.push(calls().flatMap((line) => /^(ip6?tables|nft)\S*/.exec(line)?.[0] ?? []));
    }
    expect(started[0]).toContain('nft');
    expect(started[1]).toEqual(['iptables-restore', 'ip6tables-restore']);
  });
});

describe('a host with', () => {
  const kinds = [
    { kind: 'only nft', has: { nft: true }, backend: 'nftables' },
    { kind: 'only iptables-nft', has: { iptables: 'nft' }, backend: 'iptables' },
    { kind: 'only iptables-legacy', has: { iptables: 'legacy' }, backend: 'iptables' },
  ] as const;

  it.each(kinds)('$kind: ADD, traffic, CHECK, STATUS, GC, DEL', async ({ kind, has, backend }) => {
    await using world = await createWorld();
    const wrap = hostWith(world, has);
    const pod = await world.pod();
    await pod.agent.listen('pod', 80);
    const conflist = testnet(world);
    const before = await dump(world);
    for (const plugin of ['bridge', 'portmap']) {
      await succeed(statusOf(world, stdinFor(conflist, plugin), plugin, wrap));
    }
    for (const verb of ['add', 'check'] as const) await succeed(chain(world, verb, { conflist, pod, ports, wrap }));
    if (kind !== 'only iptables-legacy') expect(await held(world)).toEqual(IN[backend]);
    await expectServed(world);
    await succeed(chain(world, 'del', { conflist, pod, ports, wrap }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    if (kind !== 'only iptables-legacy') return;
    const legacy = await world.node.run('/usr/sbin/iptables-legacy-save', '-t', 'nat');
    expect(legacy).not.toMatch(/CNI-(DN-)?[0-9a-f]{20}/);
    expect(legacy).toContain('CNI-HOSTPORT-DNAT');
  });

  it('neither: a clear error, nothing left, and a node that is not ready', async () => {
    await using world = await createWorld();
    const wrap = hostWith(world, {});
    const pod = await world.pod();
    const conflist = testnet(world);
    const before = await dump(world);
    for (const [plugin, config] of [
      ['bridge', stdinFor(conflist, 'bridge')],
      [
        'portmap',
        stdinFor(conflist, 'portmap', { prevResult: resultOf(pod.path), runtimeConfig: { portMappings: ports } }),
      ],
    ] as const) {
      const call: PluginCall = { plugin, command: 'ADD', pod, config, wrap };
      const message = 'cannot write firewall rules: neither iptables nor nftables can be used';
      expect(await callPlugin(world, call)).toMatchObject({
        exitCode: 1,
        json: { code: 102, msg: message, details: 'install the package iptables or nftables' },
      });
      expect(await statusOf(world, config as JsonObject, plugin, wrap)).toMatchObject({
        json: { code: 50, msg: message },
      });
    }
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    await succeed(chain(world, 'del', { conflist, pod, ports, wrap }));
  });

  it('no nft any more: the record of a container in nftables is kept, and the tool is asked for', async () => {
    await using world = await createWorld();
    const pod = await world.pod();
    const conflist = testnet(world, 'nftables');
    await succeed(chain(world, 'add', { conflist, pod, ports }));
    const wrap = hostWith(world, { iptables: 'nft' });
    const ended = await chain(world, 'del', { conflist, pod, ports, wrap });
    expect(ended.said).toContain('cannot find nft');
    await succeed(chain(world, 'del', { conflist, pod, ports }));
    expect(await held(world)).toEqual(NOWHERE);
  });
});

it('finds the rules of a container in nftables although its record is lost', async () => {
  await using world = await createWorld();
  const pod = await world.pod();
  const conflist = testnet(world, 'nftables');
  await succeed(chain(world, 'add', { conflist, pod, ports }));
  rmSync('/var/lib/cni/nodecni', { recursive: true });
  rmSync(`${world.dataDir}/.nodecni`, { recursive: true });
  await succeed(chain(world, 'del', { conflist: testnet(world), pod, ports }));
  expect(await held(world)).toEqual(NOWHERE);
});

it('takes over a host of the reference whose rules are in both', async () => {
  await using world = await createWorld();
  const before = await dump(world);
  const pods = [];
  for (const [index, backend] of ['iptables', 'nftables'].entries()) {
    const pod = await world.pod();
    const own = [{ hostPort: 8080 + index, containerPort: 80, protocol: 'tcp' }];
    await succeed(chain(world, 'add', { conflist: testnet(world, backend), pod, ports: own, bin: reference }));
    pods.push({ pod, own });
  }
  for (const { pod, own } of pods) {
    for (const verb of ['check', 'del'] as const) {
      await succeed(chain(world, verb, { conflist: testnet(world), pod, ports: own }));
    }
  }
  const { left, lost } = await changesSince(world, before);
  expect({ left, lost }).toEqual(NO_CHANGES);
});

it('masquerades one family alone', async () => {
  for (const [ipMasq, backend] of [
    ['v4', 'iptables'],
    ['v6', 'nftables'],
  ] as const) {
    await using world = await createWorld();
    const pod = await world.pod();
    const conflist = testnet(world, backend, { bridge: { ipMasq } });
    const before = await dump(world);
    for (const verb of ['add', 'check'] as const) await succeed(chain(world, verb, { conflist, pod }));
    const rules = [...(await savedRules(world.node)), ...(await savedNftables(world.node))].filter((line) =>
      /-j MASQUERADE|daddr != .* masquerade/.test(line),
    );
    expect(rules).toHaveLength(1);
    expect(rules[0]).toMatch(ipMasq === 'v4' ? /224\.0\.0\.0/ : /ip6 saddr/);
    await succeed(chain(world, 'del', { conflist, pod }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  }
});

/** What a bridge before portmap would have answered. */
function resultOf(netns: string): JsonObject {
  return {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'eth0', sandbox: netns }],
    ips: [
      { address: '10.88.0.5/16', interface: 0 },
      { address: 'fd00:88::5/64', interface: 0 },
    ],
  };
}

function withSubnet(world: World, conflist: Conflist, subnet: string): Conflist {
  const [bridge, ...others] = conflist.plugins;
  const ipam = { type: 'host-local', dataDir: world.dataDir, ranges: [[{ subnet }]] };
  return { ...conflist, plugins: [{ ...bridge, ipam }, ...others] };
}
