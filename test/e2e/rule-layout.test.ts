/**
 * `"ruleLayout": "sets"`: rules that stay as few as they were, elements that come and go with their containers, and peace
 * with containers of the other layouts. Who reaches whom is in ./traffic.test.ts and ./port-guards.test.ts.
 */

import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Attached, addPortmap, attach, collectGarbage, delPlugin, detach, killPods } from '../support/attach.ts';
import { changesSince, dump, NO_CHANGES, savedNftables, savedRules } from '../support/dump.ts';
import {
  bothProtocols,
  type Conflist,
  type Family,
  gateways,
  type JsonObject,
  type NetworkOptions,
  type PortMapping,
  stackNetwork,
  stdinFor,
} from '../support/networks.ts';
import { callPlugin, chain, succeed } from '../support/plugins.ts';
import { breakTools } from '../support/tools.ts';
import { addresses, createWorld, type Namespace, type World } from '../support/world.ts';

const families: readonly Family[] = [4, 6];
const SERVICE = 80;
const HOST_PORT = 8080;

let world: World;

beforeEach(async () => {
  world = await createWorld();
});

afterEach(() => world?.[Symbol.asyncDispose]());

const LAYOUTS = {
  sets: { bridge: { ruleLayout: 'sets' }, portmap: { ruleLayout: 'sets' } },
  iptables: { bridge: { ipMasqBackend: 'iptables' }, portmap: { backend: 'iptables' } },
  nftables: { bridge: { ipMasqBackend: 'nftables' }, portmap: { backend: 'nftables' } },
} as const;

type Layout = keyof typeof LAYOUTS;

function list(layout: Layout = 'sets', { bridge, portmap, ...over }: NetworkOptions = {}): Conflist {
  const keys = LAYOUTS[layout];
  return stackNetwork(world, families, {
    ...over,
    bridge: { hairpinMode: true, ...keys.bridge, ...bridge },
    portmap: { ...keys.portmap, ...portmap },
  });
}

function tcp(hostPort = HOST_PORT, hostIP?: string): PortMapping {
  const mapping = { hostPort, containerPort: SERVICE, protocol: 'tcp' };
  return hostIP === undefined ? mapping : { ...mapping, hostIP };
}

async function serve(name: string, ports: readonly PortMapping[] = [tcp()], conflist = list()): Promise<Attached> {
  const pod = await world.pod();
  await pod.agent.listen(name, SERVICE);
  return attach(world, conflist, { containerId: name, pod, ports });
}

/** Who answers, '' for nobody. */
function answer(from: Namespace, host: string, port = HOST_PORT, timeoutMs = 4_000): Promise<string> {
  return from.agent.ask({ protocol: 'tcp', host, port, timeoutMs }).then(
    ({ name }) => name,
    () => '',
  );
}

async function expectServed(name: string, port = HOST_PORT): Promise<void> {
  for (const family of families) expect(await answer(world.outside, addresses.node[family], port)).toBe(name);
}

/** Elements of the table, by the container that their comments name. */
async function elements(): Promise<Record<string, number>> {
  const text = (await savedNftables(world.node)).join('\n');
  const owners = [...text.matchAll(/ comment "\S+, net: \S+, if: \S+, id: ([^"]*)"/g)].map(([, id]) => id ?? '');
  return Object.fromEntries([...Map.groupBy(owners, (owner) => owner)].map(([owner, own]) => [owner, own.length]));
}

/** Of dual stack and one port: 2 + 1 hairpins, 2 ports, 2 masqueraded, 2 own networks. */
const WHOLE = 9;

/** Every rule of the host, whoever made it. */
async function rules(): Promise<string[]> {
  const nft = JSON.parse(await world.node.run('nft', '--json', 'list', 'ruleset')) as { nftables: JsonObject[] };
  return nft.nftables.flatMap(({ rule }) => (rule === undefined ? [] : [JSON.stringify(rule)]));
}

type Checked = Pick<Attached, 'containerId' | 'pod' | 'result' | 'ports'>;

async function check(conflist: Conflist, { containerId, pod, result, ports }: Checked) {
  const ended = [];
  for (const plugin of ['bridge', 'portmap']) {
    const config = stdinFor(conflist, plugin, { prevResult: result, runtimeConfig: { portMappings: ports } });
    ended.push(await callPlugin(world, { plugin, command: 'CHECK', containerId, pod, config }));
  }
  return ended;
}

async function expectComplete(conflist: Conflist, checked: Checked): Promise<void> {
  expect(await check(conflist, checked)).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }]);
}

it('has as many rules with ten containers as with one', async () => {
  await serve('first', bothProtocols(HOST_PORT, SERVICE));
  const before = await rules();
  for (let port = 1; port < 10; port += 1) await serve(`pod${port}`, [tcp(HOST_PORT + port)]);
  expect((await rules()).length).toBe(before.length);
  expect((await savedRules(world.node)).filter((rule) => rule.includes('CNI-'))).toEqual([]);
  expect(Object.keys(await elements())).toHaveLength(10);
  await expectServed('pod9', HOST_PORT + 9);
});

it('takes one child of nft for each verb and plugin', async () => {
  await serve('first', [tcp(9000)]);
  const pod = await world.pod();
  const started: string[] = [];
  for (const verb of ['add', 'check', 'del'] as const) {
    const { wrap, calls } = breakTools(world, { fault: 'fail', call: 1_000, tools: ['nft'] });
    await succeed(chain(world, verb, { conflist: list(), pod, ports: [tcp()], wrap }));
    started.push(...calls().map((line) => `${verb}: ${line}`));
  }
  const look = 'check: nft --json list table inet nodecni';
  expect(started).toEqual(['add: nft -f -', 'add: nft -f -', look, look, 'del: nft -f -', 'del: nft -f -']);
});

it('takes one for both where bridge has the ports itself', async () => {
  const [bridge] = list().plugins;
  const conflist = {
    ...list(),
    plugins: [{ ...bridge, capabilities: { portMappings: true }, portmap: LAYOUTS.sets.portmap }],
  };
  const pods = [];
  for (const port of [9000, HOST_PORT]) {
    const pod = await world.pod();
    await pod.agent.listen(`pod${port}`, SERVICE);
    const { wrap, calls } = breakTools(world, { fault: 'fail', call: 1_000, tools: ['nft'] });
    await succeed(chain(world, 'add', { conflist, pod, ports: [tcp(port)], wrap }));
    pods.push({ pod, port, calls: calls() });
  }
  await expectServed('pod8080');
  expect(pods[1]?.calls).toEqual(['nft -f -']);
  for (const { pod, port } of pods) {
    for (const verb of ['check', 'del'] as const)
      await succeed(chain(world, verb, { conflist, pod, ports: [tcp(port)] }));
  }
  expect(await elements()).toEqual({});
});

it('leaves no element behind, whatever was forwarded', async () => {
  const before = await dump(world);
  const mappings = [
    tcp(),
    tcp(9001, addresses.node[4]),
    tcp(9002, addresses.node[6]),
    { ...tcp(9003, '0.0.0.0'), protocol: 'UDP' },
    { ...tcp(9004), protocol: 'sctp' },
  ];
  const conflist = list('sets', { portmap: { masqAll: true, excludeCIDRs: ['198.51.100.0/24', '198.51.100.7/32'] } });
  const { containerId, pod, result } = await serve('pod', mappings, conflist);
  await expectComplete(conflist, { containerId, pod, result, ports: mappings });
  for (const family of families) {
    const own = family === 4 ? 9001 : 9002;
    const host = addresses.node[family];
    const asked = { protocol: 'tcp', host, port: own, timeoutMs: 4_000 } as const;
    expect(await world.outside.agent.ask(asked)).toEqual({ name: 'pod', seen: gateways[family] });
    expect(await answer(world.outside, host, family === 4 ? 9002 : 9001, 300)).toBe('');
  }
  await detach(world, conflist, { containerId, netns: pod.path });
  expect(await elements()).toEqual({});
  expect(await changesSince(world, before)).toEqual(NO_CHANGES);
});

describe('CHECK names what is missing', () => {
  it.each([
    { what: 'a port', spoil: 'flush map inet nodecni host_ports4', names: '"tcp . 8080" in map host_ports4' },
    { what: 'a hairpin', spoil: 'flush set inet nodecni hairpins6', names: 'in set hairpins6' },
    { what: 'a masqueraded address', spoil: 'flush set inet nodecni masqueraded4', names: 'in set masqueraded4' },
    { what: 'a network', spoil: 'flush set inet nodecni own_networks6', names: 'in set own_networks6' },
    { what: 'a shared rule of ports', spoil: 'flush chain inet nodecni output', names: 'fib daddr type local' },
    { what: 'a shared rule of masquerade', spoil: 'flush chain inet nodecni postrouting', names: '@masqueraded4' },
    { what: 'the table', spoil: 'delete table inet nodecni', names: 'table inet nodecni' },
  ])('$what; the container can be attached again', async ({ spoil, names }) => {
    // Others need the guard, so nothing is made anew for its sake.
    await serve('neighbour', [tcp(9000)]);
    const before = await dump(world);
    const attached = await serve('pod');
    await expectComplete(list(), attached);
    await world.node.run('nft', spoil);
    const failed = (await check(list(), attached)).map(({ json }) => json).filter((json) => json !== undefined);
    expect(failed).not.toEqual([]);
    for (const json of failed) expect(json).toMatchObject({ code: 103 });
    expect(JSON.stringify(failed)).toContain(JSON.stringify(names).slice(1, -1));
    await detach(world, list(), { containerId: 'pod', netns: attached.pod.path });
    expect((await changesSince(world, before)).left).toEqual([]);
    await serve('next');
    await expectServed('next');
    expect(await answer(world.node, addresses.node[4])).toBe('next');
    expect(await elements()).toMatchObject({ next: WHOLE });
  });
});

describe('what a dead container left', () => {
  it('goes with GC, and nothing of the living', async () => {
    const living = await serve('living', [tcp(9000)]);
    const before = await dump(world);
    const dead = await serve('dead');
    await killPods([dead.pod]);
    await collectGarbage(world, list(), [living]);
    expect(await elements()).toEqual({ living: WHOLE });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('goes with GC although all records and leases are lost', async () => {
    const living = await serve('living', [tcp(9000)]);
    const dead = await serve('dead');
    await killPods([dead.pod]);
    for (const lost of ['/var/lib/cni/nodecni', world.dataDir]) rmSync(lost, { recursive: true });
    await collectGarbage(world, list(), [living]);
    expect(await elements()).toEqual({ living: WHOLE });
  });

  it('goes when its address is given again', async () => {
    const small = list('sets', { ipam: { ranges: [[{ subnet: '10.7.0.0/30' }], [{ subnet: 'fd00:7::/126' }]] } });
    const dead = await serve('dead', [tcp(), tcp(9000)], small);
    await killPods([dead.pod]);
    const next = await serve('next', [tcp(9001)], small);
    expect(next.address).toBe(dead.address);
    expect(await elements()).toEqual({ next: WHOLE });
    await expectServed('next', 9001);
  });

  it('gives its port to the next one in one transaction', async () => {
    const dead = await serve('dead', [tcp(), tcp(9000)]);
    const neighbour = await serve('neighbour', [tcp(9001)]);
    await killPods([dead.pod]);
    const pod = await world.pod();
    await pod.agent.listen('next', SERVICE);
    const { result } = await attach(world, list(), { containerId: 'next', pod });
    const { wrap, calls } = breakTools(world, { fault: 'fail', call: 1_000, tools: ['nft'] });
    await succeed(addPortmap(world, list(), { containerId: 'next', pod, ports: [tcp()], wrap }, result));
    expect(calls()).toEqual(['nft -f -']);
    await expectServed('next');
    await expectServed(neighbour.containerId, 9001);
    // Masquerading goes with the address.
    expect(await elements()).toEqual({ dead: 4, neighbour: WHOLE, next: WHOLE });
    await succeed(delPlugin(world, list(), { plugin: 'portmap', containerId: 'dead' }));
    await expectServed('next');
  });
});

describe('beside containers of other layouts', () => {
  it('takes the ports of dead ones, wherever these had them', async () => {
    const dead = [await serve('one', [tcp()], list('iptables')), await serve('two', [tcp(8081)], list('nftables'))];
    await killPods(dead.map(({ pod }) => pod));
    await serve('next', [tcp(), tcp(8081)]);
    for (const port of [HOST_PORT, 8081]) await expectServed('next', port);
    const left = [...(await savedRules(world.node)), ...(await savedNftables(world.node))];
    expect(left.filter((line) => /--to-destination|dnat to/.test(line))).toEqual([]);
  });

  it('each is reached, reaches itself and the outside, and leaves by itself', async () => {
    const before = await dump(world);
    await world.outside.agent.listen('outside', SERVICE);
    const layouts: readonly Layout[] = ['sets', 'iptables', 'nftables'];
    const pods = [];
    for (const [index, layout] of layouts.entries()) {
      const port = HOST_PORT + index;
      pods.push({ layout, port, conflist: list(layout), ...(await serve(layout, [tcp(port)], list(layout))) });
    }
    for (const family of families) {
      const host = addresses.node[family];
      for (const { layout, port, pod } of pods) {
        for (const from of [world.outside, world.node, pod]) expect(await answer(from, host, port)).toBe(layout);
        if (family === 4) expect(await answer(world.node, '127.0.0.1', port)).toBe(layout);
        const question = { protocol: 'tcp', host: addresses.outside[family], port: SERVICE } as const;
        expect(await pod.agent.ask(question)).toEqual({ name: 'outside', seen: host });
      }
    }
    for (const { layout, port, conflist, containerId, pod } of pods) {
      await expectServed(layout, port);
      await detach(world, conflist, { containerId, netns: pod.path });
    }
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  // Of chains with the same priority the kernel asks the newest first.
  it('comes after the services of Kubernetes, although these were there before it', async () => {
    await world.outside.agent.listen('service', HOST_PORT);
    for (const [tool, to] of [
      ['iptables', addresses.outside[4]],
      ['ip6tables', `[${addresses.outside[6]}]`],
    ]) {
      for (const hook of ['PREROUTING', 'OUTPUT']) {
        const rule = `-p tcp --dport ${HOST_PORT} -m addrtype --dst-type LOCAL -j DNAT --to ${to}:${HOST_PORT}`;
        await world.node.run('bash', '-c', `${tool} -t nat -A ${hook} ${rule}`);
      }
    }
    await serve('pod');
    for (const family of families) expect(await answer(world.node, addresses.node[family])).toBe('service');
  });

  it.each([
    { held: 'sets', asked: 'sets' },
    { held: 'sets', asked: 'iptables' },
    { held: 'nftables', asked: 'sets' },
  ] as const)('a port of one in $held is refused to one in $asked', async ({ held, asked }) => {
    await serve('first', [tcp()], list(held));
    const pod = await world.pod();
    const { result } = await attach(world, list(asked), { containerId: 'second', pod });
    const before = await dump(world);
    const ended = await addPortmap(
      world,
      list(asked),
      { containerId: 'second', pod, ports: [tcp(9000), tcp()] },
      result,
    );
    expect(ended.json, ended.said).toMatchObject({ code: 107, msg: expect.stringContaining('container "first"') });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    await expectServed('first');
  });

  it('a second ADD in another layout takes what the first one made', async () => {
    const { containerId, pod, result } = await serve('pod', [tcp()], list('iptables'));
    const held = async () => ({
      sets: (await savedNftables(world.node)).some((line) => /tcp \. 8080 /.test(line)),
      iptables: (await savedRules(world.node)).some((rule) => rule.includes('--dport 8080')),
    });
    for (const layout of ['sets', 'iptables', 'sets'] as const) {
      await succeed(addPortmap(world, list(layout), { containerId, pod, ports: [tcp()] }, result));
      expect(await held()).toEqual({ sets: layout === 'sets', iptables: layout === 'iptables' });
      await expectServed('pod');
    }
    // By the record, whatever the configuration says by now.
    await expectComplete(list('iptables'), { containerId, pod, result, ports: [tcp()] });
    await detach(world, list('nftables'), { containerId, netns: pod.path });
    expect(await held()).toEqual({ sets: false, iptables: false });
  });
});

describe('a port that stands in the map', () => {
  it('is not taken from a container whose record is lost', async () => {
    await serve('first');
    rmSync('/var/lib/cni/nodecni', { recursive: true });
    const pod = await world.pod();
    const { result } = await attach(world, list(), { containerId: 'second', pod });
    const ended = await addPortmap(world, list(), { containerId: 'second', pod, ports: [tcp()] }, result);
    expect(ended.json, ended.said).toMatchObject({ code: 107, msg: expect.stringContaining('host port') });
    await expectServed('first');
  });

  it('is not taken from whoever put it there by hand', async () => {
    await serve('first', [tcp(9000)]);
    const element = '{ tcp . 8080 comment "mine" : 192.0.2.2 . 80 }';
    await world.node.run('nft', `add element inet nodecni host_ports4 ${element}`);
    const pod = await world.pod();
    const { result } = await attach(world, list(), { containerId: 'second', pod });
    const before = await dump(world);
    const ended = await addPortmap(world, list(), { containerId: 'second', pod, ports: [tcp()] }, result);
    expect(ended.json, ended.said).toMatchObject({
      code: 107,
      msg: 'cannot forward host port 8080/tcp: it leads to 192.0.2.2 . 80 already',
    });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});

it('a failed ADD leaves the elements of the one before it', async () => {
  const { containerId, pod, result } = await serve('pod');
  const before = await savedNftables(world.node);
  const { wrap, fired } = breakTools(world, { fault: 'fail', tools: ['nft'], call: 1 });
  const ended = await addPortmap(world, list(), { containerId, pod, ports: [tcp(9000)], wrap }, result);
  expect(ended).toMatchObject({ exitCode: 1, json: { code: 102 } });
  expect(fired()).toBe(true);
  expect(await savedNftables(world.node)).toEqual(before);
  await expectComplete(list(), { containerId, pod, result, ports: [tcp()] });
});

it('a container with a thousand ports is one transaction', async () => {
  const ports = Array.from({ length: 1000 }, (_, index) => tcp(20_000 + index));
  const conflist = list('sets', { portmap: { excludeCIDRs: ['198.51.100.0/24'] } });
  const { containerId, pod } = await serve('pod', ports, conflist);
  await expectServed('pod', 20_999);
  const { wrap, calls } = breakTools(world, { fault: 'fail', call: 1_000, tools: ['nft'] });
  const config = stdinFor(conflist, 'portmap');
  await succeed(callPlugin(world, { plugin: 'portmap', command: 'DEL', containerId, pod, config, wrap }));
  expect(calls()).toEqual(['nft -f -']);
  expect(await elements()).toEqual({ pod: 4 });
});
