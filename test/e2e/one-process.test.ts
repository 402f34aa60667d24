/** Host ports in bridge's own entry: what bridge and portmap do as two processes, bridge does as one, to the last rule. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { gcPlugin, killPods, statusOf, validKeys } from '../support/attach.ts';
import { changesSince, type Dump, dump, NO_CHANGES, savedNftables, savedRules } from '../support/dump.ts';
import { records } from '../support/lease-state.ts';
import {
  bothProtocols,
  type Conflist,
  type Family,
  type JsonObject,
  network,
  type PortMapping,
  subnets,
} from '../support/networks.ts';
import {
  callPlugin,
  chain,
  leases,
  mixedBin,
  ours,
  type PluginCall,
  type PluginEnded,
  reference,
  startPlugin,
  succeed,
} from '../support/plugins.ts';
import { until } from '../support/process.ts';
import { deleteRules } from '../support/rules.ts';
import { breakTools, type Fault } from '../support/tools.ts';
import { addresses, createWorld, Namespace, type World } from '../support/world.ts';

const SERVICE = 80;
const ports = bothProtocols(8080, SERVICE);
const otherPorts = bothProtocols(9090, SERVICE);
const RECORDS = '/var/lib/cni/nodecni/portmap';
const BOTH: readonly Family[] = [4, 6];

let world: World;

beforeEach(async () => {
  world = await createWorld();
});

afterEach(() => world?.[Symbol.asyncDispose]());

interface Keys {
  readonly families?: readonly Family[];
  /** Of bridge. */
  readonly bridge?: JsonObject;
  /** Of portmap, wherever they stand. */
  readonly portmap?: JsonObject;
}

/** bridge and portmap, one behind the other. */
function classic({ families = BOTH, bridge = {}, portmap = {} }: Keys = {}): Conflist {
  return network(world, { subnets: families.map((family) => subnets[family]), bridge, portmap });
}

/** The same by bridge alone. */
function fast({ families = BOTH, bridge = {}, portmap = {} }: Keys = {}): Conflist {
  const own = { capabilities: { portMappings: true }, portmap, ...bridge };
  return network(world, { subnets: families.map((family) => subnets[family]), bridge: own });
}

interface Asked {
  readonly pod: Namespace;
  /** `pod` when absent. */
  readonly containerId?: string;
  readonly ports?: readonly PortMapping[] | undefined;
  readonly prevResult?: JsonObject | undefined;
  readonly wrap?: Wrap;
}

/** bridge alone, in the network's first entry. */
function bridge(command: 'ADD' | 'CHECK' | 'DEL', conflist: Conflist, asked: Asked): Promise<PluginEnded> {
  return callPlugin(world, bridgeCall(command, conflist, asked));
}

function bridgeCall(command: string, { plugins, cniVersion, name }: Conflist, asked: Asked): PluginCall {
  const { ports: portMappings, prevResult, containerId = 'pod', ...call } = asked;
  const runtimeConfig = portMappings === undefined ? {} : { runtimeConfig: { portMappings } };
  const config = { ...plugins[0], cniVersion, name, prevResult, ...runtimeConfig };
  return { plugin: 'bridge', command, containerId, config, ...call };
}

/** A pod that answers by its name, attached by cnitool. */
async function serve(name: string, conflist: Conflist, own: readonly PortMapping[] = ports): Promise<Namespace> {
  const pod = await world.pod();
  await pod.agent.listen(name, SERVICE);
  await succeed(chain(world, 'add', { conflist, pod, ports: own }));
  return pod;
}

function answer(port: number, family: Family = 4): Promise<string> {
  const question = { protocol: 'tcp', host: addresses.node[family], port, timeoutMs: 4_000 } as const;
  return world.outside.agent.ask(question).then(({ name }) => name);
}

/** What is written of forwarded ports, without who wrote it, when, and what is random. */
function portRecords(): JsonObject[] {
  const names = existsSync(RECORDS) ? readdirSync(RECORDS).filter((name) => name.endsWith('.json')) : [];
  return names.sort().map((name) => {
    const { takenBy: _, traces, ...record } = JSON.parse(readFileSync(`${RECORDS}/${name}`, 'utf8')) as JsonObject;
    return { name, ...record, traces: Object.keys(traces as JsonObject).sort() };
  });
}

async function kernelState() {
  return {
    iptables: await savedRules(world.node),
    // Which table came first is no matter.
    nftables: (await savedNftables(world.node))
      .join('\n')
      .split(/^(?=table )/m)
      .sort(),
    routeLocalnet: await world.node.run('cat', '/proc/sys/net/ipv4/conf/cni0/route_localnet'),
    records: portRecords(),
  };
}

const states = [
  { what: 'IPv4 in iptables', families: [4], masquerade: 'iptables', backend: 'iptables' },
  { what: 'dual stack in iptables', families: BOTH, masquerade: 'iptables', backend: 'iptables' },
  { what: 'IPv4 in nftables', families: [4], masquerade: 'nftables', backend: 'nftables' },
  { what: 'dual stack in nftables', families: BOTH, masquerade: 'nftables', backend: 'nftables' },
  { what: 'masquerade in nftables, ports in iptables', families: BOTH, masquerade: 'nftables', backend: 'iptables' },
  { what: 'masquerade in iptables, ports in nftables', families: BOTH, masquerade: 'iptables', backend: 'nftables' },
] as const;

describe('what ADD leaves is what bridge and portmap leave, and DEL takes all of it', () => {
  it.each(states)('$what', async ({ families, masquerade, backend }) => {
    const keys = { families, bridge: { ipMasqBackend: masquerade }, portmap: { backend } };
    const seen = [];
    for (const make of [classic, fast]) {
      await using own = await createWorld();
      const outer = world;
      world = own;
      try {
        seen.push(await lifeOf(make(keys)));
      } finally {
        world = outer;
      }
    }
    expect(seen[1]).toEqual(seen[0]);
    expect(seen[0]?.records).toHaveLength(2);
  });

  /** Two pods come and go. What there is in between. */
  async function lifeOf(conflist: Conflist) {
    const pods = [await world.pod(), await world.pod()] as const;
    const calls = [
      { containerId: 'one', pod: pods[0], ports },
      { containerId: 'two', pod: pods[1], ports: otherPorts },
    ];
    const before = await dump(world);
    const results: JsonObject[] = [];
    for (const call of calls) results.push(await addAll(conflist, call));
    const state = await kernelState();
    for (const [index, call] of calls.entries()) await delAll(conflist, { ...call, prevResult: results[index] });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    return state;
  }

  /** The same container IDs on both sides: chains are named after them. */
  async function addAll(conflist: Conflist, call: Asked): Promise<JsonObject> {
    if (conflist.plugins.length === 1) return (await succeed(bridge('ADD', conflist, call))).json;
    const { json } = await succeed(bridge('ADD', conflist, { ...call, ports: undefined }));
    await succeed(portmap('ADD', conflist, { ...call, prevResult: json }));
    return json;
  }

  async function delAll(conflist: Conflist, call: Asked): Promise<void> {
    const isOne = conflist.plugins.length === 1;
    if (!isOne) await succeed(portmap('DEL', conflist, call));
    await succeed(bridge('DEL', conflist, isOne ? call : { ...call, ports: undefined }));
  }

  function portmap(command: 'ADD' | 'DEL', conflist: Conflist, call: Asked): Promise<PluginEnded> {
    const own = { ...conflist, plugins: conflist.plugins.slice(1) };
    return callPlugin(world, { ...bridgeCall(command, own, call), plugin: 'portmap' });
  }
});

it('few children are started where another pod has a port already', async () => {
  const conflist = fast({ families: [4] });
  await serve('other', conflist, otherPorts);
  const pod = await world.pod();
  const own = [{ hostPort: 8080, containerPort: SERVICE, protocol: 'tcp' }];
  let prevResult: JsonObject | undefined;
  for (const [command, most] of [
    ['ADD', 3],
    ['CHECK', 4],
    ['DEL', 2],
  ] as const) {
    const { wrap, calls } = breakTools(world, { fault: 'fail', call: 1_000 });
    const { json } = await succeed(bridge(command, conflist, { pod, ports: own, prevResult, wrap }));
    prevResult ??= json;
    expect(calls().length, `${command}: ${calls().join(', ')}`).toBeLessThanOrEqual(most);
  }
});

/** More than a verb has children: the loops below end when it had fewer. */
const MAX_STEPS = 40;

/** `round` with every child of a verb broken in turn, until there are none left to break. */
async function breakEach(
  fault: Fault,
  round: (wrap: Wrap, fired: () => boolean) => Promise<PluginEnded>,
): Promise<void> {
  for (let call = 1; call < MAX_STEPS; call += 1) {
    const { wrap, fired, calls } = breakTools(world, { fault, call });
    const { exitCode, said } = await round(wrap, fired);
    if (fired()) continue;
    expect(exitCode, said).toBe(0);
    expect(call, calls().join(', ')).toBeGreaterThan(3);
    return;
  }
  throw new Error(`there are ${MAX_STEPS} children`);
}

type Wrap = ReturnType<typeof breakTools>['wrap'];

describe('with every child broken in turn', () => {
  const conflist = () => fast();

  /** Another pod lives, with 10.7.0.2 and a port. */
  async function stage(): Promise<{ pod: Namespace; before: Dump }> {
    await serve('other', conflist(), otherPorts);
    return { pod: await world.pod(), before: await dump(world) };
  }

  it.each(['fail', 'half', 'after', 'terminate', 'locked'] as const)(
    'an ADD that meets "%s" leaves nothing, and the next one is whole',
    async (fault) => {
      const { pod, before } = await stage();
      await breakEach(fault, async (wrap) => {
        const ended = await bridge('ADD', conflist(), { pod, ports, wrap });
        if (ended.exitCode !== 0) expect(ended.json, ended.said).toMatchObject({ code: expect.any(Number) });
        else await checkAndDelete(pod, ended.json);
        expect(await changesSince(world, before), ended.said).toEqual(NO_CHANGES);
        return ended;
      });
      await checkAndDelete(pod, (await succeed(bridge('ADD', conflist(), { pod, ports }))).json);
      expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    },
  );

  it.each(['DEL', 'ADD'] as const)('after a killed ADD, %s puts it right', async (next) => {
    const { pod, before } = await stage();
    await breakEach('kill', async (wrap) => {
      const killed = await bridge('ADD', conflist(), { pod, ports, wrap });
      if (next === 'DEL' || killed.exitCode === 0) await succeed(bridge('DEL', conflist(), { pod, ports }));
      else await checkAndDelete(pod, (await succeed(bridge('ADD', conflist(), { pod, ports }))).json);
      expect(await changesSince(world, before), killed.said).toEqual(NO_CHANGES);
      return killed;
    });
  });

  it.each(['fail', 'half', 'terminate', 'kill', 'locked'] as const)(
    'a DEL that meets "%s" is finished by the next one, and the lease goes last',
    async (fault) => {
      const { pod, before } = await stage();
      await breakEach(fault, async (wrap, fired) => {
        const { json } = await succeed(bridge('ADD', conflist(), { pod, ports }));
        const broken = await bridge('DEL', conflist(), { pod, ports, prevResult: json, wrap });
        // Its children speak of rules and links, and after them comes the lease.
        if (fired() && broken.signal !== null) expect(Object.keys(leases(world))).toHaveLength(2 * BOTH.length);
        if (broken.exitCode !== 0) await succeed(bridge('DEL', conflist(), { pod, ports, prevResult: json }));
        expect(await changesSince(world, before), broken.said).toEqual(NO_CHANGES);
        return broken;
      });
    },
  );

  async function checkAndDelete(pod: Namespace, prevResult: JsonObject | undefined): Promise<void> {
    for (const command of ['CHECK', 'DEL'] as const) {
      await succeed(bridge(command, conflist(), { pod, ports, prevResult }));
    }
  }
});

describe("another container's port", () => {
  it.each([{}, { ipMasqBackend: 'nftables' }])('undoes the whole attachment (%j)', async (over) => {
    const conflist = fast({ bridge: over, portmap: { backend: 'iptables' } });
    await serve('holder', conflist);
    const pod = await world.pod();
    const before = await dump(world);
    const ended = await bridge('ADD', conflist, { pod, ports });
    expect(ended.json, ended.said).toMatchObject({ code: 107, msg: expect.stringContaining('host port 8080/tcp') });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    for (const family of BOTH) expect(await answer(8080, family)).toBe('holder');
  });

  it('is taken when that one is dead, in the same call', async () => {
    const conflist = fast();
    await killPods([await serve('dead', conflist)]);
    const pod = await world.pod();
    await pod.agent.listen('next', SERVICE);
    const { stderr } = await succeed(bridge('ADD', conflist, { pod, ports }));
    expect(stderr).toMatch(/took the host ports of container "cnitool-/);
    for (const family of BOTH) expect(await answer(8080, family)).toBe('next');
    expect(portRecords()).toHaveLength(1);
  });
});

describe('CHECK misses', () => {
  const breakages = [
    ...BOTH.flatMap((family) => [
      { what: 'a DNAT rule', family, pattern: /^-A CNI-DN-.*-p tcp .*-j DNAT/, names: /8080|CNI-DN-/ },
      { what: 'the way into it', family, pattern: /^-A CNI-HOSTPORT-DNAT .*-p udp/, names: /CNI-HOSTPORT-DNAT/ },
      { what: 'the jump from outside', family, pattern: /^-A PREROUTING .*CNI-HOSTPORT-DNAT/, names: /PREROUTING/ },
      {
        what: 'the masquerade of what is marked',
        family,
        pattern: /^-A CNI-HOSTPORT-MASQ/,
        names: /CNI-HOSTPORT-MASQ/,
      },
      { what: 'the masquerade rule', family, pattern: /^-A CNI-[0-9a-f]{24} .*MASQUERADE/, names: /masquerad/i },
      { what: 'the jump to it', family, pattern: /^-A POSTROUTING -s /, names: /masquerad/i },
    ]),
    { what: 'the guard', family: 4 as Family, pattern: /-s 127.* DROP/, table: 'raw', names: /the guard of 127/ },
  ];

  it.each(breakages)('$what of IPv$family; DEL does not', async ({ names, ...doomed }) => {
    const conflist = fast();
    const pod = await world.pod();
    const before = await dump(world);
    const { json } = await succeed(bridge('ADD', conflist, { pod, ports }));
    const asked = { pod, ports, prevResult: json };
    await succeed(bridge('CHECK', conflist, asked));
    await deleteRules(world.node, doomed);
    const ended = await bridge('CHECK', conflist, asked);
    expect(ended.json, ended.said).toMatchObject({ code: 103, msg: expect.stringMatching(names) });
    await succeed(bridge('DEL', conflist, asked));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('route_localnet', async () => {
    const conflist = fast();
    const pod = await world.pod();
    const { json } = await succeed(bridge('ADD', conflist, { pod, ports }));
    await world.node.sysctl('net/ipv4/conf/cni0/route_localnet', 0);
    const ended = await bridge('CHECK', conflist, { pod, ports, prevResult: json });
    expect(ended.json, ended.said).toMatchObject({ code: 103, msg: expect.stringContaining('route_localnet of cni0') });
  });
});

describe('GC', () => {
  it('takes rules and records of a pod that is not listed', async () => {
    const conflist = fast();
    const living = { containerId: 'living', pod: await world.pod(), ports: otherPorts };
    await succeed(bridge('ADD', conflist, living));
    const before = await dump(world);
    await succeed(bridge('ADD', conflist, { pod: await world.pod(), ports }));
    await succeed(collect(conflist, [{ containerId: 'living', ifname: 'eth0' }]));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    await succeed(collect(conflist, []));
    expect(portRecords()).toEqual([]);
  });

  it('keeps off a pod whose ADD is at work, also when its ports are forwarded by then', async () => {
    // Address detection makes the ADD long.
    const conflist = fast({ bridge: { enabledad: true } });
    const pod = await world.pod();
    await pod.sysctl('net/ipv6/conf/default/dad_transmits', 3);
    const adding = startPlugin(world, bridgeCall('ADD', conflist, { pod, ports }));
    await until('the ports', async () => (portRecords()[0]?.state === 'added' ? true : undefined));
    await succeed(collect(conflist, []));
    expect(records(world).map(({ record }) => record.state)).toEqual(['adding']);
    const { exitCode, stdout, stderr } = await adding.ended;
    expect(exitCode, stdout + stderr).toBe(0);
    const prevResult = JSON.parse(stdout) as JsonObject;
    await succeed(bridge('CHECK', conflist, { pod, ports, prevResult }));
  });

  function collect(conflist: Conflist, listed: Parameters<typeof validKeys>[0]): Promise<PluginEnded> {
    const { plugins, cniVersion, name } = conflist;
    return gcPlugin(world, { ...plugins[0], cniVersion, name }, 'bridge', validKeys(listed));
  }
});

describe.each(['iptables', 'nftables'])('a pod of another list, in %s', (backend) => {
  const keys = { bridge: { ipMasqBackend: backend }, portmap: { backend } };
  const lists = {
    classic: () => classic(keys),
    fast: () => fast(keys),
    /** Nobody is asked for ports any more. */
    none: () => network(world, { subnets: BOTH.map((family) => subnets[family]), bridge: keys.bridge }),
  };

  it.each([
    ['classic', 'fast'],
    ['fast', 'classic'],
    ['classic', 'none'],
    ['fast', 'none'],
  ] as const)('attached by the %s one is checked and deleted by the %s one', async (from, to) => {
    const pod = await world.pod();
    const before = await dump(world);
    await succeed(chain(world, 'add', { conflist: lists[from](), pod, ports }));
    await succeed(chain(world, 'check', { conflist: lists[to](), pod, ports }));
    await succeed(chain(world, 'del', { conflist: lists[to](), pod, ports }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});

describe('a portmap that is still listed', () => {
  const conflist = () => {
    const { plugins, ...rest } = fast();
    return { ...rest, plugins: [...plugins, ...classic().plugins.slice(1)] };
  };

  it.each([
    { what: 'adds nothing and says so', own: ports, said: 1 },
    { what: 'has nothing to say where there are no ports', own: undefined, said: 0 },
  ])('$what', async ({ own, said }) => {
    const pod = await world.pod();
    const before = await dump(world);
    const call = { conflist: conflist(), pod, ...(own === undefined ? {} : { ports: own }) };
    const { stderr } = await succeed(chain(world, 'add', call));
    expect(stderr.match(/bridge has taken the host ports of cnitool-\S+ eth0 already/g) ?? []).toHaveLength(said);
    expect(stderr.split('\n').filter((line) => line !== '')).toHaveLength(said);
    const dnats = (await savedRules(world.node)).filter((rule) => rule.includes('-j DNAT'));
    expect(dnats).toHaveLength(own === undefined ? 0 : 4);
    await succeed(chain(world, 'check', call));
    await succeed(chain(world, 'status', call));
    await succeed(chain(world, 'del', call));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});

describe('a configuration', () => {
  it.each([
    { portmap: { backend: 'pf' }, says: /unrecognized backend "pf"/ },
    { portmap: { HOSTPORTCONFLICT: 'maybe' }, says: /"hostPortConflict": "maybe" is neither/ },
    { portmap: { markMasqBit: 40 }, says: /MasqMarkBit must be between 0 and 31/ },
    { portmap: {}, own: [{ hostPort: 0, containerPort: 80, protocol: 'tcp' }], says: /0 is no port/ },
  ])('that is wrong builds nothing and does not stop DEL ($portmap)', async ({ portmap, own = ports, says }) => {
    const conflist = fast({ portmap });
    const pod = await world.pod();
    const before = await dump(world);
    const ended = await bridge('ADD', conflist, { pod, ports: own });
    expect(ended.json, ended.said).toMatchObject({ code: 7, msg: expect.stringMatching(says) });
    expect(await world.node.ip('link', 'show', 'type', 'bridge')).toEqual([]);
    expect(
      await statusOf(world, { ...conflist.plugins[0], cniVersion: '1.1.0', name: 'testnet' }, 'bridge'),
    ).toMatchObject({ exitCode: own === ports ? 1 : 0 });
    await succeed(bridge('DEL', conflist, { pod, ports: own }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('that has become wrong does not keep what it made', async () => {
    const pod = await world.pod();
    const before = await dump(world);
    await succeed(bridge('ADD', fast(), { pod, ports }));
    await succeed(bridge('DEL', fast({ portmap: { backend: 'pf' } }), { pod, ports }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('of which the runtime hands on no ports forwards none', async () => {
    const pod = await world.pod();
    const before = await dump(world);
    const { json, stderr } = await succeed(bridge('ADD', fast(), { pod }));
    expect([stderr, portRecords()]).toEqual(['', []]);
    for (const command of ['CHECK', 'DEL'] as const) await succeed(bridge(command, fast(), { pod, prevResult: json }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('without addresses forwards none, and says so', async () => {
    const layer2 = fast({ bridge: { ipam: {}, isDefaultGateway: false, ipMasq: false } });
    const pod = await world.pod();
    const before = await dump(world);
    const { json, stderr } = await succeed(bridge('ADD', layer2, { pod, ports }));
    expect(stderr).toMatch(/^\S*portmap: no port is forwarded: .*gives eth0 of the container no address/m);
    const asked = { pod, ports, prevResult: json };
    for (const command of ['CHECK', 'DEL', 'DEL'] as const) await succeed(bridge(command, layer2, asked));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('whose "capabilities" the runtime keeps to itself is known by what it hands on', async () => {
    const stripped = fast({ bridge: { capabilities: undefined } });
    const pod = await world.pod();
    const before = await dump(world);
    await pod.agent.listen('pod', SERVICE);
    const { json, stderr } = await succeed(bridge('ADD', stripped, { pod, ports }));
    expect(stderr).toBe('');
    for (const family of BOTH) expect(await answer(8080, family)).toBe('pod');
    await succeed(bridge('CHECK', stripped, { pod, ports, prevResult: json }));
    // And not even that.
    await succeed(bridge('DEL', stripped, { pod }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});

describe('a container that comes again after a lost DEL', () => {
  /** By the same name, in a new namespace. */
  async function again(pod: Namespace): Promise<Namespace> {
    await killPods([pod]);
    await world.node.run('ip', 'netns', 'add', pod.name);
    const next = new Namespace(pod.name);
    await next.run('ip', 'link', 'set', 'lo', 'up');
    await next.agent.listen('again', SERVICE);
    world.pods.push(next);
    return next;
  }

  it('has its new ports and no others', async () => {
    const before = await dump(world);
    const pod = await again(await serve('pod', fast()));
    await succeed(chain(world, 'add', { conflist: fast(), pod, ports: otherPorts }));
    expect(await answer(9090)).toBe('again');
    expect((await savedRules(world.node)).filter((rule) => rule.includes('--dport 8080'))).toEqual([]);
    await serve('next', fast());
    expect(await answer(8080)).toBe('next');
    await succeed(chain(world, 'check', { conflist: fast(), pod, ports: otherPorts }));
    for (const left of world.pods) await chain(world, 'del', { conflist: fast(), pod: left, ports });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('has them by the list of now, where an IPAM plugin frees no addresses of the dead', async () => {
    const bin = mixedBin(world, 'static', { bridge: ours, portmap: ours, static: reference });
    const ipam = (address: string) => ({ ipam: { type: 'static', addresses: [{ address, gateway: '10.7.0.1' }] } });
    const first = await world.pod();
    const was = fast({ bridge: ipam('10.7.0.9/24') });
    await succeed(chain(world, 'add', { conflist: was, pod: first, ports, bin }));
    const pod = await again(first);
    const call = { conflist: classic({ bridge: ipam('10.7.0.10/24') }), pod, ports, bin };
    const { stderr } = await succeed(chain(world, 'add', call));
    expect(stderr).toBe('');
    expect(await answer(8080)).toBe('again');
    await succeed(chain(world, 'check', call));
    await succeed(chain(world, 'del', call));
    expect(portRecords()).toEqual([]);
    expect((await savedRules(world.node)).filter((rule) => rule.includes('DNAT --to'))).toEqual([]);
  });
});
