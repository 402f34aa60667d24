/** Whose a port of the host is: the living keep theirs, the dead lose theirs, and of two at once one gets it. */

import { existsSync, readdirSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Attached, addPortmap, attach, delPlugin, killPods } from '../support/attach.ts';
import { changesSince, dump, NO_CHANGES, savedRules } from '../support/dump.ts';
import {
  type Conflist,
  type JsonObject,
  network,
  type PortMapping,
  stackNetwork,
  stdinFor,
} from '../support/networks.ts';
import { callPlugin, chain, leases, type PluginEnded, reference, succeed } from '../support/plugins.ts';
import { until } from '../support/process.ts';
import { reboot } from '../support/reboot.ts';
import { breakTools } from '../support/tools.ts';
import { addresses, createWorld, type World } from '../support/world.ts';

const SERVICE = 80;
const HOST_PORT = 8080;
const RECORDS = '/var/lib/cni/nodecni/portmap';

let world: World;
let conflist: Conflist;

beforeEach(async () => {
  world = await createWorld();
  conflist = stackNetwork(world, [4, 6]);
});

afterEach(() => world?.[Symbol.asyncDispose]());

function tcp(hostPort: number, hostIP?: string): PortMapping {
  const mapping = { hostPort, containerPort: SERVICE, protocol: 'tcp' };
  return hostIP === undefined ? mapping : { ...mapping, hostIP };
}

async function serve(name: string, ports: readonly PortMapping[], list = conflist): Promise<Attached> {
  const pod = await world.pod();
  await pod.agent.listen(name, SERVICE);
  return attach(world, list, { containerId: name, pod, ports });
}

/** portmap's ADD for a new pod that has its interface. */
async function ask(name: string, ports: readonly PortMapping[], list = conflist) {
  const pod = await world.pod();
  await pod.agent.listen(name, SERVICE);
  const options = { containerId: name, pod, ports };
  const { result } = await attach(world, list, { ...options, ports: [] });
  return {
    options,
    result,
    add: (wrap?: Wrap) => addPortmap(world, list, wrap ? { ...options, wrap } : options, result),
  };
}

type Wrap = ReturnType<typeof breakTools>['wrap'];

function answer(host: string, port: number, protocol: 'tcp' | 'udp' = 'tcp'): Promise<string> {
  return world.outside.agent.ask({ protocol, host, port, timeoutMs: 4_000 }).then(({ name }) => name);
}

async function expectServed(name: string, port = HOST_PORT): Promise<void> {
  for (const family of [4, 6] as const) expect(await answer(addresses.node[family], port)).toBe(name);
}

function recordNames(): string[] {
  return existsSync(RECORDS) ? readdirSync(RECORDS).filter((name) => name.endsWith('.json')) : [];
}

function expectRefused(ended: PluginEnded, holder: string): void {
  expect(ended.json, ended.said).toMatchObject({
    code: 107,
    msg: expect.stringMatching(
      new RegExp(`host port \\S*8080/tcp.*container "${holder}" .*of network "testnet" has it since 2`),
    ),
  });
}

describe('a port of a container that lives', () => {
  it.each([
    { held: undefined, asked: undefined },
    { held: addresses.node[4], asked: undefined },
    { held: undefined, asked: addresses.node[6] },
    { held: addresses.node[6], asked: '::' },
    { held: '0.0.0.0', asked: addresses.node[4] },
  ])('is refused to another one ($held, $asked), and nothing changes', async ({ held, asked }) => {
    await serve('first', [tcp(HOST_PORT, held), tcp(9000)]);
    const { add } = await ask('second', [tcp(9001), tcp(HOST_PORT, asked)]);
    const before = await dump(world);
    expectRefused(await add(), 'first');
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    await expectServed('first', 9000);
    await expect(answer(addresses.node[4], 9001)).rejects.toThrow('no answer');
  });

  it('is told with the pod', async () => {
    const pod = await world.pod();
    const args = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1';
    await succeed(chain(world, 'add', { conflist, pod, ports: [tcp(HOST_PORT)], args }));
    const { add } = await ask('second', [tcp(HOST_PORT)]);
    expect((await add()).json).toMatchObject({ code: 107, msg: expect.stringContaining('(pod shop/web-1)') });
  });

  it('stays its own while another one is let in beside it on demand', async () => {
    const lenient = stackNetwork(world, [4, 6], { portmap: { hostPortConflict: 'warn' } });
    await serve('first', [tcp(HOST_PORT)]);
    const second = await serve('second', [tcp(HOST_PORT)], lenient);
    expect(second.log).toMatch(/host port 8080\/tcp goes on leading to container "first" of network "testnet"/);
    await expectServed('first');
    await detachPorts('first');
    await expectServed('second');
  });

  it('is not taken by the same port on another address of the host', async () => {
    const other = { 4: '192.0.2.77', 6: '2001:db8:ffff::77' };
    await world.node.run('ip', 'address', 'add', `${other[4]}/24`, 'dev', 'up0');
    await world.node.run('ip', 'address', 'add', `${other[6]}/64`, 'dev', 'up0', 'nodad');
    for (const family of [4, 6] as const) {
      await serve(`one${family}`, [tcp(HOST_PORT, addresses.node[family])]);
      await serve(`two${family}`, [tcp(HOST_PORT, other[family])]);
    }
    for (const family of [4, 6] as const) {
      expect(await answer(addresses.node[family], HOST_PORT)).toBe(`one${family}`);
      expect(await answer(other[family], HOST_PORT)).toBe(`two${family}`);
    }
  });

  it('is not taken by the same number of another protocol', async () => {
    await serve('tcp', [tcp(HOST_PORT)]);
    await serve('udp', [{ ...tcp(HOST_PORT), protocol: 'udp' }]);
    expect(await answer(addresses.node[4], HOST_PORT, 'tcp')).toBe('tcp');
    expect(await answer(addresses.node[4], HOST_PORT, 'udp')).toBe('udp');
  });

  it('is free after its DEL', async () => {
    await serve('first', [tcp(HOST_PORT)]);
    await detachPorts('first');
    await serve('second', [tcp(HOST_PORT)]);
    await expectServed('second');
  });
});

async function detachPorts(containerId: string): Promise<void> {
  await succeed(delPlugin(world, conflist, { plugin: 'portmap', containerId }));
}

describe('a port of a container that is dead', () => {
  it('is given to the next one in one transaction per family', async () => {
    const first = await serve('first', [tcp(HOST_PORT), tcp(9000)]);
    const neighbour = await serve('neighbour', [tcp(9001)]);
    await killPods([first.pod]);
    const second = await ask('second', [tcp(HOST_PORT)]);
    const { wrap, calls } = breakTools(world, { fault: 'fail', call: 1_000 });
    const { stderr } = await succeed(second.add(wrap));
    const restores = calls().filter((line) => line.includes('restore'));
    expect(restores).toHaveLength(2);
    expect(stderr).toMatch(/took the host ports of container "first" .*its link veth\S+ is gone/);
    await expectServed('second');
    await expectServed(neighbour.containerId, 9001);
    // All of the dead one's goes, and its DEL may come late.
    expect(await forwardsOf('first')).toEqual([]);
    expect(recordNames()).toHaveLength(2);
    await detachPorts('first');
    await expectServed('second');
  });

  it('is given away though what nobody needs any more cannot be taken away', async () => {
    const first = await serve('first', [tcp(HOST_PORT)]);
    await killPods([first.pod]);
    // Forwards nothing at 127.0.0.1: the guard goes with the dead one, in a call after the rules.
    const second = await ask('second', [tcp(HOST_PORT, addresses.node[4])]);
    const { wrap, fired } = breakTools(world, { fault: 'fail', tools: ['iptables-restore'], call: 2 });
    const { stderr } = await succeed(second.add(wrap));
    expect(fired()).toBe(true);
    expect(stderr).toMatch(/portmap: iptables-restore failed/);
    expect(await answer(addresses.node[4], HOST_PORT)).toBe('second');
    expect(recordNames()).toHaveLength(1);
  });

  it('is given away when only the address differs', async () => {
    const first = await serve('first', [tcp(HOST_PORT)]);
    await killPods([first.pod]);
    await serve('second', [tcp(HOST_PORT, addresses.node[4])]);
    expect(await answer(addresses.node[4], HOST_PORT)).toBe('second');
    await expect(answer(addresses.node[6], HOST_PORT)).rejects.toThrow('no answer');
  });

  it('is given away after a reboot whose firewall came back with all rules', async () => {
    await serve('first', [tcp(HOST_PORT)]);
    const saved = {
      iptables: await world.node.run('iptables-save'),
      ip6tables: await world.node.run('ip6tables-save'),
    };
    await using _ = await reboot(world);
    for (const [tool, text] of Object.entries(saved)) {
      await world.node.run('bash', '-c', `${tool}-restore <<'END'\n${text}END`);
    }
    // Another network, so that no address is given again.
    const other = network(world, {
      name: 'other',
      subnets: ['10.9.0.0/24', 'fd00:9::/64'],
      portmap: {},
      bridge: { bridge: 'cni9' },
    });
    const second = await serve('second', [tcp(HOST_PORT)], other);
    expect(second.log).toMatch(/took the host ports of container "first" .*earlier boot/);
    await expectServed('second');
  });

  it('is given away when its rules are not there any more', async () => {
    const first = await serve('first', [tcp(HOST_PORT)]);
    await killPods([first.pod]);
    for (const tool of ['iptables', 'ip6tables']) {
      await world.node.run('bash', '-c', `${tool} -t nat -F && ${tool} -t nat -X`);
    }
    await serve('second', [tcp(HOST_PORT)]);
    await expectServed('second');
  });
});

describe('one container on two networks, given the same ports', () => {
  const second = { name: 'second', subnets: ['10.8.0.0/24', 'fd00:8::/64'], bridge: { bridge: 'cni1' } };
  const ports = [tcp(HOST_PORT), tcp(9000)];

  it('is served through the first, and the second says so', async () => {
    const before = await dump(world);
    const pod = await world.pod();
    await pod.agent.listen('pod', SERVICE);
    const lists = [conflist, network(world, { ...second, portmap: {} })];
    const added: { attached: Attached; list: Conflist }[] = [];
    for (const [index, list] of lists.entries()) {
      const options = { containerId: 'both', pod, ifname: `eth${index}`, ports };
      added.push({ attached: await attach(world, list, options), list });
    }
    expect(added[1]?.attached.log).toMatch(
      /host port 8080\/tcp and 1 more already leads to this container on network "testnet"/,
    );
    await expectServed('pod');
    for (const { attached, list } of added) await checkPorts(attached, list);
    const rules = await savedRules(world.node);
    expect(rules.filter((rule) => rule.includes('name: \\"second\\"') && rule.includes('dnat'))).toEqual([]);
    for (const { attached, list } of added.reverse()) {
      for (const plugin of ['portmap', 'bridge']) {
        const { containerId, ifname } = attached;
        await succeed(delPlugin(world, list, { plugin, containerId, ifname, netns: pod.path, ports }));
      }
    }
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('forwards on the second what the first has not', async () => {
    const pod = await world.pod();
    await pod.agent.listen('pod', SERVICE);
    const list = network(world, { ...second, portmap: {} });
    await attach(world, conflist, { containerId: 'both', pod, ports: [tcp(HOST_PORT)] });
    const attached = await attach(world, list, {
      containerId: 'both',
      pod,
      ifname: 'eth1',
      ports: [tcp(HOST_PORT), tcp(9000)],
    });
    await expectServed('pod');
    await checkPorts(attached, list);
    expect((await savedRules(world.node)).filter((rule) => rule.includes('--dports 9000'))).toHaveLength(2);
  });
});

async function checkPorts({ containerId, ifname, pod, ports, result }: Attached, list: Conflist): Promise<void> {
  const config = stdinFor(list, 'portmap', { prevResult: result, runtimeConfig: { portMappings: ports } });
  await succeed(callPlugin(world, { plugin: 'portmap', command: 'CHECK', containerId, ifname, pod, config }));
}

it('of many that ask for one port at once, exactly one gets it', async () => {
  const rivals = [];
  for (const number of [1, 2, 3, 4, 5, 6]) rivals.push(await ask(`rival${number}`, [tcp(HOST_PORT)]));
  const ended = await Promise.all(rivals.map(({ add }) => add()));
  const winners = rivals.filter((_, index) => ended[index]?.exitCode === 0).map(({ options }) => options.containerId);
  expect(winners).toHaveLength(1);
  for (const one of ended.filter(({ exitCode }) => exitCode !== 0)) expectRefused(one, winners[0] ?? '');
  await expectServed(winners[0] ?? '');
  expect(recordNames()).toHaveLength(1);
});

describe('an ADD that is killed', () => {
  it.each([1, 3, 4, 5, 8])('at its child number %i has nothing, and the next one takes the port', async (call) => {
    const killed = await ask('killed', [tcp(HOST_PORT)]);
    const { wrap, fired } = breakTools(world, { fault: 'kill', call });
    expect((await killed.add(wrap)).signal).toBe('SIGKILL');
    expect(fired()).toBe(true);
    // Its child may still be about to write.
    await serve('next', [tcp(HOST_PORT)]);
    await expectServed('next');
    expect(recordNames()).toHaveLength(1);
  });

  it('while it replaces a dead one leaves nobody in the way', async () => {
    const first = await serve('first', [tcp(HOST_PORT)]);
    await killPods([first.pod]);
    for (const call of [2, 3, 4]) {
      const killed = await ask(`killed${call}`, [tcp(HOST_PORT)]);
      await killed.add(breakTools(world, { fault: 'kill', call }).wrap);
    }
    await serve('next', [tcp(HOST_PORT)]);
    await expectServed('next');
    expect(recordNames()).toHaveLength(1);
  });
});

describe.each(['iptables', 'nftables'])('rules of the reference in %s', (backend) => {
  const list = () => stackNetwork(world, [4, 6], { portmap: { backend } });

  /** By a runtime that keeps its cache of results. */
  async function byReference() {
    const pod = await world.pod();
    await pod.agent.listen('reference', SERVICE);
    await succeed(chain(world, 'add', { conflist: list(), pod, ports: [tcp(HOST_PORT)], bin: reference }));
    // Its IPv6 addresses are tentative for a while.
    await until('the reference', () => answer(addresses.node[6], HOST_PORT).catch(() => undefined));
    await expectServed('reference');
    return pod;
  }

  it('keep their port while their container lives', async () => {
    await byReference();
    const { add } = await ask('ours', [tcp(9000), tcp(HOST_PORT)], list());
    const before = await dump(world);
    expect((await add()).json).toMatchObject({
      code: 107,
      msg: expect.stringMatching(/8080.tcp: container "cnitool-/),
    });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    await expectServed('reference');
  });

  it('go when neither lease nor container is there', async () => {
    const pod = await byReference();
    await killPods([pod]);
    for (const address of Object.keys(leases(world))) rmSync(`${world.dataDir}/testnet/${address}`);
    const { log } = await serve('ours', [tcp(HOST_PORT)], list());
    expect(log).toMatch(/took the host ports of container "cnitool-.*neither record nor lease/);
    await expectServed('ours');
    expect(await forwardsOf('cnitool-')).toEqual([]);
  });

  it('stay, with a warning, when only one of both is there', async () => {
    await killPods([await byReference()]);
    const { log } = await serve('ours', [tcp(HOST_PORT)], list());
    expect(log).toMatch(
      /rules for host port 8080\/tcp of container "cnitool-.* stand before ours and are left alone: it has a lease/,
    );
    expect(await forwardsOf('cnitool-')).not.toEqual([]);
    // Once they are known they are looked at again for this port only.
    const { log: again } = await serve('next', [tcp(9000)], list());
    expect(again).toBe('');
  });

  it('go by the reference’s DEL, also where ours had made them, and the port is free', async () => {
    const pod = await world.pod();
    await succeed(chain(world, 'add', { conflist: list(), pod, ports: [tcp(HOST_PORT)] }));
    await succeed(chain(world, 'del', { conflist: list(), pod, ports: [tcp(HOST_PORT)], bin: reference }));
    const { log } = await serve('next', [tcp(HOST_PORT)], list());
    expect(log).toMatch(/took the host ports of container "cnitool-.*somebody else deleted it/);
    await expectServed('next');
  });

  it('are no matter once the reference has deleted them', async () => {
    const pod = await byReference();
    await serve('ours', [tcp(9000)], list());
    await succeed(chain(world, 'del', { conflist: list(), pod, ports: [tcp(HOST_PORT)], bin: reference }));
    const { log } = await serve('next', [tcp(HOST_PORT)], list());
    expect(log).toBe('');
    await expectServed('next');
  });
});

/** Rules that lead a port to the container, of both backends. */
async function forwardsOf(containerId: string): Promise<string[]> {
  const nftables = (await world.node.run('/usr/sbin/nft', 'list', 'ruleset')).split('\n');
  const rules = [...(await savedRules(world.node)), ...nftables];
  return rules.filter((rule) => rule.includes(containerId) && rule.includes('dnat'));
}

it('a lost or damaged index costs nothing but time', async () => {
  await serve('first', [tcp(HOST_PORT)]);
  const { add } = await ask('second', [tcp(HOST_PORT)]);
  rmSync(`${RECORDS}/owners`);
  expectRefused(await add(), 'first');
  await world.node.run('bash', '-c', `echo '{"version":1,"records":' >${RECORDS}/owners`);
  expectRefused(await add(), 'first');
});

it('a second ADD of the same container counts by its new ports', async () => {
  const first = await ask('first', [tcp(HOST_PORT)]);
  await succeed(first.add());
  await succeed(addPortmap(world, conflist, { ...first.options, ports: [tcp(9000)] }, first.result as JsonObject));
  await serve('second', [tcp(HOST_PORT)]);
  const third = await ask('third', [tcp(9000)]);
  expect((await third.add()).json).toMatchObject({ code: 107 });
});
