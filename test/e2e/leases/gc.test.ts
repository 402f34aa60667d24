/** GC takes what the runtime does not list, of this network alone, and STATUS says how full the network is. */

import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type Attached,
  addCall,
  attach,
  collectGarbage,
  detach,
  firstStdin,
  gcPlugin,
  inLanes,
  killPods,
  manyPods,
  statusOf,
  VALID_KEYS,
  validKeys,
} from '../../support/attach.ts';
import { type Dump, dump, NO_CHANGES, savedRules } from '../../support/dump.ts';
import { holders, leftSince, linkGone, records } from '../../support/lease-state.ts';
import { bothProtocols, type Conflist, type JsonObject, network, stdinFor } from '../../support/networks.ts';
import { callPlugin, leases, mixedBin, ours, reference, startPlugin, succeed } from '../../support/plugins.ts';
import { must, type Started, until } from '../../support/process.ts';
import { breakTools } from '../../support/tools.ts';
import { createWorld, type World } from '../../support/world.ts';

const SUBNETS = ['10.44.0.0/24', 'fd00:44::/64'];
/** Five addresses. */
const SMALL = '10.44.1.0/29';

function testnet(world: World, over: JsonObject = {}): Conflist {
  return network(world, { subnets: SUBNETS, portmap: {}, ...over });
}

function othernet(world: World): Conflist {
  return network(world, { name: 'othernet', subnets: ['10.45.0.0/24'], portmap: {}, bridge: { bridge: 'cni1' } });
}

async function attachOne(world: World, conflist: Conflist, containerId: string, hostPort: number, bin = ours) {
  return attach(world, conflist, { containerId, pod: await world.pod(), ports: bothProtocols(hostPort, 80), bin });
}

/** Keys that are kept between an address given and the next. */
function keptFiles(world: World): string[] {
  return ['lock', 'last_reserved_ip.0', 'last_reserved_ip.1'].map((name) => {
    const path = `${world.dataDir}/testnet/${name}`;
    return `${name}: ${readFileSync(path, 'utf8')}`;
  });
}

const PLUGINS = ['bridge', 'host-local', 'portmap', 'loopback', 'flannel'];

function stdinOf(conflist: Conflist, plugin: string): JsonObject {
  if (plugin === 'loopback') return { cniVersion: '1.1.0', name: 'testnet', type: 'loopback' };
  return plugin === 'portmap' ? stdinFor(conflist, plugin) : firstStdin(conflist);
}

describe('GC', () => {
  it('without a list is an error of every plugin, and nothing is touched', async () => {
    await using world = await createWorld();
    const conflist = testnet(world);
    await attachOne(world, conflist, 'one', 8081);
    const before = await dump(world);
    for (const plugin of PLUGINS) {
      const ended = await gcPlugin(world, stdinOf(conflist, plugin), plugin, {});
      expect(ended.exitCode, `${plugin}: ${ended.said}`).toBe(1);
      expect(ended.json, ended.said).toMatchObject({ code: 7, msg: expect.stringContaining('valid-attachments') });
      expect(await leftSince(world, before), plugin).toEqual(NO_CHANGES);
    }
  });

  const nothingValid = VALID_KEYS.flatMap((key) => [null, []].map((list) => ({ key, list, keys: { [key]: list } })));

  it.each(nothingValid)('with "$key": $list releases all of its network and keeps the other', async ({ keys }) => {
    await using world = await createWorld();
    const [conflist, other] = [testnet(world), othernet(world)];
    await attachOne(world, other, 'one', 8090);
    const before = await dump(world);
    const added = [await attachOne(world, conflist, 'one', 8081), await attachOne(world, conflist, 'two', 8082)];
    const kept = keptFiles(world);
    for (const plugin of ['bridge', 'portmap']) await succeed(gcPlugin(world, stdinOf(conflist, plugin), plugin, keys));
    expect(await leftSince(world, before)).toEqual(NO_CHANGES);
    expect(await linksIn(added)).toEqual([]);
    expect(keptFiles(world)).toEqual(kept);
    expect([...records(world), ...records(world, 'othernet')]).toHaveLength(1);
  });

  it('keeps what is listed, by container and interface, under either spelling', async () => {
    await using world = await createWorld();
    const conflist = testnet(world);
    const [one, two, three] = [
      await attachOne(world, conflist, 'one', 8081),
      await attachOne(world, conflist, 'two', 8082),
      await attachOne(world, conflist, 'three', 8083),
    ];
    const both = await attach(world, conflist, { containerId: 'one', pod: one.pod, ifname: 'eth1' });
    const list = ({ containerId, ifname }: Attached) => [{ containerID: containerId, ifname }];
    const keys = { [VALID_KEYS[0]]: list(one), [VALID_KEYS[1]]: list(two) };
    for (const plugin of ['bridge', 'portmap']) await succeed(gcPlugin(world, stdinOf(conflist, plugin), plugin, keys));
    expect(new Set(Object.values(holders(world)))).toEqual(new Set(['one', 'two']));
    expect(Object.keys(holders(world))).toHaveLength(4);
    expect(await linksIn([one, two, three, both])).toEqual(['one eth0', 'two eth0']);
    for (const kept of [one, two]) await expectChecked(world, conflist, kept);
  });

  it.each(['host-local', 'portmap', 'loopback'])('of %s alone does its own part', async (plugin) => {
    await using world = await createWorld();
    const conflist = testnet(world);
    const before = await dump(world);
    const one = await attachOne(world, conflist, 'one', 8081);
    await succeed(gcPlugin(world, stdinOf(conflist, plugin), plugin, validKeys([])));
    expect(Object.keys(leases(world))).toHaveLength(plugin === 'host-local' ? 0 : 2);
    // Nor does host-local give an address up while ports lead to it.
    const rules = await savedRules(world.node);
    expect(rules.some((rule) => rule.includes('CNI-DN-'))).toBe(plugin === 'loopback');
    await detach(world, conflist, { containerId: 'one', netns: one.pod.path });
    expect(await leftSince(world, before)).toEqual(NO_CHANGES);
  });

  it('and STATUS come without runtimeConfig: they need no ranges', async () => {
    await using world = await createWorld();
    const ranged = network(world, { subnets: [], portmap: {} });
    const before = await dump(world);
    const runtimeConfig = { ipRanges: [[{ subnet: SMALL }]] };
    const config = stdinFor(ranged, 'bridge', { runtimeConfig });
    await succeed(callPlugin(world, { plugin: 'bridge', command: 'ADD', pod: await world.pod(), config }));
    expect(Object.keys(leases(world))).toHaveLength(1);
    for (const plugin of ['bridge', 'host-local']) await succeed(statusOf(world, firstStdin(ranged), plugin));
    await collectGarbage(world, ranged, []);
    expect(await leftSince(world, before)).toEqual(NO_CHANGES);
  });

  it.each(['bridge', 'portmap'])('keeps an attachment whose ADD by %s is in progress', async (plugin) => {
    await using world = await createWorld();
    const conflist = testnet(world);
    const before = await dump(world);
    const pod = await world.pod();
    const hanging = await hangingAdd(world, conflist, { pod, plugin });
    const during = await restingDump(world);
    for (const each of ['bridge', 'portmap']) {
      const ended = await gcPlugin(world, stdinOf(conflist, each), each, validKeys([]));
      expect(ended.signal, ended.said).toBe(null);
      expect(await leftSince(world, during), ended.said).toEqual(NO_CHANGES);
    }
    process.kill(-(hanging.child.pid ?? 0), 'SIGKILL');
    await hanging.ended;
    await collectGarbage(world, conflist, []);
    expect(await leftSince(world, before)).toEqual(NO_CHANGES);
  });

  it('goes on past a lease that cannot be removed, names it, and takes it the next time', async () => {
    await using world = await createWorld();
    const conflist = network(world, { subnets: ['10.44.0.0/24'], portmap: {} });
    const before = await dump(world);
    await attachOne(world, conflist, 'one', 8081);
    const { address: stuck } = await attachOne(world, conflist, 'two', 8082);
    await attachOne(world, conflist, 'three', 8083);
    const path = `${world.dataDir}/testnet/${stuck}`;
    // A mount point cannot be unlinked.
    await must(['mount', '--bind', path, path]);
    try {
      const ended = await gcPlugin(world, firstStdin(conflist), 'bridge', validKeys([]));
      expect(ended.exitCode, ended.said).toBe(1);
      expect(`${ended.json?.msg} ${ended.json?.details}`).toContain(stuck);
      expect(Object.keys(leases(world))).toEqual([stuck]);
    } finally {
      await must(['umount', path]);
    }
    await collectGarbage(world, conflist, []);
    expect(await leftSince(world, before)).toEqual(NO_CHANGES);
  });
});

describe('leases of both implementations', () => {
  it('are released by the other one, and what the reference wrote GC collects', async () => {
    await using world = await createWorld();
    const conflist = testnet(world);
    const before = await dump(world);
    const ipam = (command: string, containerId: string, bin: string) =>
      succeed(
        callPlugin(world, { plugin: 'host-local', command, containerId, netns: '', config: firstStdin(conflist), bin }),
      );
    const pod = await world.pod();
    for (const [containerId, bin] of [
      ['a', ours],
      ['b', reference],
      ['c', reference],
    ] as const) {
      await succeed(
        callPlugin(world, { ...addCall({ containerId, pod, bin }, 'host-local'), config: firstStdin(conflist) }),
      );
    }
    expect(Object.values(leases(world)).sort()).toEqual(['a', 'a', 'b', 'b', 'c', 'c'].map((id) => `${id}\r\neth0`));
    await ipam('DEL', 'a', reference);
    await ipam('DEL', 'b', ours);
    expect(new Set(Object.values(leases(world)))).toEqual(new Set(['c\r\neth0']));
    await collectGarbage(world, conflist, []);
    expect(await leftSince(world, before)).toEqual(NO_CHANGES);
  });

  it('of a whole chain by the reference are collected with their rules', async () => {
    await using world = await createWorld();
    const conflist = testnet(world);
    const before = await dump(world);
    const kept = await attachOne(world, conflist, 'kept', 8081, reference);
    const lost = await attachOne(world, conflist, 'lost', 8082, reference);
    await killPods([lost.pod]);
    await collectGarbage(world, conflist, [kept]);
    expect(Object.values(holders(world))).toEqual(['kept', 'kept']);
    await expectChecked(world, conflist, kept);
    await collectGarbage(world, conflist, []);
    await must(['ip', '-n', world.node.name, 'link', 'delete', kept.hostLink]).catch(() => '');
    expect(await leftSince(world, before)).toEqual(NO_CHANGES);
  });

  it('mix: the reference bridge with our host-local, collected by ours', async () => {
    await using world = await createWorld();
    const conflist = testnet(world);
    const before = await dump(world);
    const bin = mixedBin(world, 'mixed', { bridge: reference, 'host-local': ours, portmap: reference });
    const lost = await attachOne(world, conflist, 'lost', 8082, bin);
    await killPods([lost.pod]);
    await collectGarbage(world, conflist, []);
    expect(await leftSince(world, before)).toEqual(NO_CHANGES);
  });
});

describe('a full range', () => {
  it('is told in numbers by ADD, by STATUS as a warning, and as code 50 where that is asked for', async () => {
    await using world = await createWorld();
    const conflist = network(world, { subnets: [SMALL] });
    const strict = network(world, { subnets: [SMALL], ipam: { statusOnExhaustion: 'error' } });
    await expectQuietStatus(world, strict);
    const added = await fill(world, conflist);
    for (const plugin of ['bridge', 'host-local']) {
      const warned = await succeed(statusOf(world, firstStdin(conflist), plugin));
      expectNumbers(warned.stderr, { reclaimable: 0 });
      const failed = await statusOf(world, firstStdin(strict), plugin);
      expect(failed.json, failed.said).toMatchObject({ code: 50 });
      expectNumbers(`${failed.json?.msg} ${failed.json?.details}`, { reclaimable: 0 });
    }
    await expectExhausted(world, conflist, added);
  });

  it('has reclaimable leases where pods are dead', async () => {
    await using world = await createWorld();
    const conflist = network(world, { subnets: [SMALL] });
    const added = await fill(world, conflist);
    const dead = added.slice(0, 2);
    await killPods(dead.map(({ pod }) => pod));
    for (const { hostLink } of dead) await linkGone(world.node, hostLink);
    const { stderr } = await succeed(statusOf(world, firstStdin(conflist), 'bridge'));
    expectNumbers(stderr, { reclaimable: 2 });
    expect(Object.keys(leases(world)), 'STATUS changes nothing').toHaveLength(5);
  });

  async function fill(world: World, conflist: Conflist): Promise<Attached[]> {
    const pods = await manyPods(world, 5);
    return inLanes([...pods.entries()], 2, ([index, pod]) =>
      attach(world, conflist, { containerId: `c${index}`, pod }),
    );
  }

  async function expectQuietStatus(world: World, conflist: Conflist): Promise<void> {
    for (const plugin of ['bridge', 'host-local']) {
      const { wrap, calls } = breakTools(world, { fault: 'fail' });
      const { stderr, stdout } = await succeed(statusOf(world, firstStdin(conflist), plugin, wrap));
      expect([plugin, stdout, calls()]).toEqual([plugin, '', []]);
      expect(stderr).not.toContain('range set');
    }
  }

  async function expectExhausted(world: World, conflist: Conflist, added: readonly Attached[]): Promise<void> {
    const before = leases(world);
    const pod = await world.pod();
    const ended = await callPlugin(world, {
      ...addCall({ containerId: 'c6', pod }, 'bridge'),
      config: firstStdin(conflist),
    });
    const said = `${ended.json?.msg} ${ended.json?.details}`;
    expect(ended.json, ended.said).toMatchObject({ code: 100 });
    expect(said).toContain('no IP addresses available in range set');
    expectNumbers(said, { reclaimable: 0 });
    expect(said).toContain('cnictl leases');
    expect(added.some(({ containerId, address }) => said.includes(containerId) && said.includes(address))).toBe(true);
    expect(leases(world)).toEqual(before);
  }
});

/** Total, used, free and reclaimable of the five addresses, all used. */
function expectNumbers(text: string, { reclaimable }: { reclaimable: number }): void {
  expect(text).toMatch(new RegExp(`5 addresses in all, 5 leased.* 0 free, ${reclaimable} reclaimable`));
}

/** `container ifname` of those whose interface is there. */
async function linksIn(added: readonly Attached[]): Promise<string[]> {
  const seen = await Promise.all(
    added.map(async ({ pod, containerId, ifname }) => {
      const links = await pod.ip<{ ifname: string }>('link', 'show');
      return links.some((link) => link.ifname === ifname) ? [`${containerId} ${ifname}`] : [];
    }),
  );
  return seen.flat();
}

async function expectChecked(world: World, conflist: Conflist, attached: Attached): Promise<void> {
  const { containerId, ifname, pod, ports, result } = attached;
  for (const plugin of ['bridge', 'portmap']) {
    const runtimeConfig = plugin === 'portmap' ? { portMappings: ports } : {};
    const config = stdinFor(conflist, plugin, { prevResult: result, runtimeConfig });
    await succeed(callPlugin(world, { plugin, command: 'CHECK', containerId, ifname, pod, config }));
  }
}

/** An ADD whose first iptables transaction hangs; the interface is made by then. */
/** When all has been done beside what hangs. */
async function restingDump(world: World): Promise<Dump> {
  let last = await dump(world);
  return until('what is done beside', async () => {
    const before = last;
    last = await dump(world);
    return JSON.stringify(last) === JSON.stringify(before) ? last : undefined;
  });
}

async function hangingAdd(
  world: World,
  conflist: Conflist,
  { pod, plugin }: { pod: Attached['pod']; plugin: string },
): Promise<Started> {
  const options = { containerId: 'slow', pod, ports: bothProtocols(8081, 80) };
  let config = firstStdin(conflist);
  if (plugin === 'portmap') {
    const added = await attach(world, conflist, { ...options, ports: [] });
    const runtimeConfig = { portMappings: options.ports };
    config = stdinFor(conflist, 'portmap', { prevResult: added.result, runtimeConfig });
  }
  const { wrap } = breakTools(world, { fault: 'hang', tools: ['iptables-restore', 'ip6tables-restore'] });
  const started = startPlugin(world, { ...addCall({ ...options, wrap }, plugin), config });
  await until('the hanging tool', async () => (existsSync(`${world.folder}/tools/fired`) ? true : undefined));
  return started;
}
