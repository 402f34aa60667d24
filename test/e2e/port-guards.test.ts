/** What a forwarded port must not do: take what is for others, open 127.0.0.0/8, forget the wrong connections, wait for ever. */

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Attached, addPortmap, attach, delPlugin } from '../support/attach.ts';
import { changesSince, dump, NO_CHANGES, savedNftables, savedRules } from '../support/dump.ts';
import {
  type Conflist,
  type Family,
  type JsonObject,
  type PortMapping,
  stackNetwork,
  stdinFor,
} from '../support/networks.ts';
import { addressesOf, callPlugin, succeed } from '../support/plugins.ts';
import { start } from '../support/process.ts';
import { breakTools, hostWith } from '../support/tools.ts';
import { addresses, createWorld, type Namespace, type World } from '../support/world.ts';

const families: readonly Family[] = [4, 6];
const SERVICE = 80;
const HOST_PORT = 8080;
const web: PortMapping = { hostPort: HOST_PORT, containerPort: SERVICE, protocol: 'tcp' };

let world: World;

beforeEach(async () => {
  world = await createWorld();
});

afterEach(() => world?.[Symbol.asyncDispose]());

async function serve(name: string, list: Conflist, ports: readonly PortMapping[] = [web]): Promise<Attached> {
  const pod = await world.pod();
  await pod.agent.listen(name, SERVICE);
  return attach(world, list, { containerId: name, pod, ports });
}

function ask(from: Namespace, host: string, port = HOST_PORT): Promise<string> {
  return from.agent.ask({ protocol: 'tcp', host, port, timeoutMs: 4_000 }).then(
    ({ name }) => name,
    () => '',
  );
}

async function routeLocalnet(link = 'cni0'): Promise<string> {
  return (await world.node.run('cat', `/proc/sys/net/ipv4/conf/${link}/route_localnet`)).trim();
}

async function isGuarded(): Promise<boolean> {
  const rules = [...(await savedRules(world.node)), ...(await savedNftables(world.node))];
  return rules.some((rule) => /CNI-LOCALNET-GUARD|localnet_guard/.test(rule));
}

describe.each([
  { where: 'iptables', keys: { backend: 'iptables' }, flushGuard: 'iptables -t raw -F CNI-LOCALNET-GUARD' },
  { where: 'nftables', keys: { backend: 'nftables' }, flushGuard: 'nft flush table ip cni_localnet_guard' },
  { where: 'sets', keys: { ruleLayout: 'sets' }, flushGuard: 'nft flush chain inet nodecni localnet_guard' },
])('in $where', ({ keys, flushGuard }) => {
  const list = (portmap: JsonObject = {}) => stackNetwork(world, families, { portmap: { ...keys, ...portmap } });

  describe('127.0.0.0/8', () => {
    it('stays closed to pods while the host reaches them from there', async () => {
      const { pod } = await serve('pod', list());
      await world.node.agent.listen('private', 7000);
      expect(await ask(world.node, '127.0.0.1')).toBe('pod');
      // The pod believes that the node is where 127.0.0.1 is.
      await pod.run('ip', 'address', 'del', '127.0.0.1/8', 'dev', 'lo');
      await pod.run('ip', 'route', 'add', '127.0.0.1/32', 'via', '10.7.0.1');
      await pod.run('bash', '-c', 'echo 1 >/proc/sys/net/ipv4/conf/eth0/route_localnet');
      expect(await ask(pod, '127.0.0.1', 7000)).toBe('');
      await world.node.run('bash', '-c', flushGuard);
      expect(await ask(pod, '127.0.0.1', 7000), 'without the guard').toBe('private');
    });

    it('is looked at by CHECK', async () => {
      const attached = await serve('pod', list());
      await succeed(checkPorts(list(), attached));
      await world.node.run('bash', '-c', flushGuard);
      expect((await checkPorts(list(), attached)).json).toMatchObject({
        code: 103,
        msg: 'cannot find the guard of 127.0.0.0/8',
      });
      await world.node.run('bash', '-c', 'echo 0 >/proc/sys/net/ipv4/conf/cni0/route_localnet');
      expect((await checkPorts(list(), attached)).json).toMatchObject({
        code: 103,
        msg: 'cannot find route_localnet of cni0',
      });
    });

    it('is closed again after the last one that needs it', async () => {
      const before = await dump(world);
      const pods = [await serve('one', list()), await serve('two', list(), [{ ...web, hostPort: 8081 }])];
      for (const [index, { containerId, pod }] of pods.entries()) {
        expect({ guarded: await isGuarded(), open: await routeLocalnet() }, `${index} gone`).toEqual({
          guarded: true,
          open: '1',
        });
        for (const plugin of ['portmap', 'bridge']) {
          await succeed(delPlugin(world, list(), { plugin, containerId, netns: pod.path }));
        }
      }
      expect({ guarded: await isGuarded(), open: await routeLocalnet() }).toEqual({ guarded: false, open: '0' });
      expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    });

    it('is not opened where nobody needs it', async () => {
      await serve('address', list(), [{ ...web, hostIP: addresses.node[4] }]);
      await serve('no-snat', list({ snat: false }), [{ ...web, hostPort: 8081 }]);
      expect({ guarded: await isGuarded(), open: await routeLocalnet() }).toEqual({ guarded: false, open: '0' });
      await serve('local', list(), [{ ...web, hostIP: '127.0.0.1' }]);
      expect({ guarded: await isGuarded(), open: await routeLocalnet() }).toEqual({ guarded: true, open: '1' });
      expect(await ask(world.node, '127.0.0.1')).toBe('local');
    });

    it('stays as open as somebody else had made it', async () => {
      await serve('earlier', list({ snat: false }), [{ ...web, hostPort: 8081 }]);
      await world.node.run('bash', '-c', 'echo 1 >/proc/sys/net/ipv4/conf/cni0/route_localnet');
      const { containerId } = await serve('pod', list());
      await succeed(delPlugin(world, list(), { plugin: 'portmap', containerId }));
      expect({ guarded: await isGuarded(), open: await routeLocalnet() }).toEqual({ guarded: false, open: '1' });
    });
  });

  it('traffic to a port of others is left alone, whoever sends it and whichever way', async () => {
    const { pod } = await serve('pod', list());
    const other = await world.pod();
    await other.agent.listen('other', HOST_PORT);
    const { result } = await attach(world, list(), { containerId: 'other', pod: other });
    await world.outside.agent.listen('outside', HOST_PORT);
    await world.outside.run('ip', 'route', 'add', '10.7.0.0/24', 'via', addresses.node[4]);
    await world.outside.run('ip', 'route', 'add', 'fd00:7::/64', 'via', addresses.node[6]);
    for (const family of families) {
      const own = addressOf(result, family);
      for (const from of [pod, world.node]) expect(await ask(from, addresses.outside[family])).toBe('outside');
      for (const from of [pod, world.node, world.outside]) expect(await ask(from, own)).toBe('other');
      for (const from of [other, world.node, world.outside])
        expect(await ask(from, addresses.node[family])).toBe('pod');
    }
  });

  it('excluded addresses of the host are left alone', async () => {
    const vips = { 4: '198.51.100.10', 6: '2001:db8:aaaa::10' };
    for (const family of families) {
      await world.node.run('ip', 'address', 'add', `${vips[family]}/${family === 4 ? 32 : 128}`, 'dev', 'lo');
      const gateway = addresses.node[family];
      await world.outside.run('ip', 'route', 'add', `${vips[family]}/${family === 4 ? 32 : 128}`, 'via', gateway);
    }
    await world.node.agent.listen('service', HOST_PORT);
    const excludeCIDRs = ['198.51.100.0/24', '203.0.113.1/32', '2001:db8:aaaa::10/128'];
    const excluding = list({ excludeCIDRs });
    const { pod, containerId, result } = await serve('pod', excluding);
    for (const family of families) {
      for (const from of [world.outside, world.node, pod]) expect(await ask(from, vips[family])).toBe('service');
      expect(await ask(world.outside, addresses.node[family])).toBe('pod');
    }
    await succeed(checkPorts(excluding, { containerId, pod, result }));
    await succeed(delPlugin(world, excluding, { plugin: 'portmap', containerId }));
    await serve('next', list());
    for (const family of families) expect(await ask(world.outside, vips[family]), 'without exclusion').toBe('next');
  });
});

function addressOf(result: JsonObject, family: Family): string {
  return addressesOf(result).find((address) => address.includes(':') === (family === 6)) ?? '';
}

function checkPorts(config: Conflist, { containerId, pod, result }: Pick<Attached, 'containerId' | 'pod' | 'result'>) {
  const stdin = stdinFor(config, 'portmap', { prevResult: result, runtimeConfig: { portMappings: [web] } });
  return callPlugin(world, { plugin: 'portmap', command: 'CHECK', containerId, pod, config: stdin });
}

it('comes after the services of Kubernetes on both ways', async () => {
  for (const [tool, to] of [
    ['iptables', '192.0.2.2'],
    ['ip6tables', '[2001:db8:ffff::2]'],
  ]) {
    const jumps = ['PREROUTING', 'OUTPUT'].map((chain) => `${tool} -t nat -A ${chain} -j KUBE-SERVICES`);
    const service = `${tool} -t nat -A KUBE-SERVICES -p tcp --dport 8080 -m addrtype --dst-type LOCAL -j DNAT --to ${to}:8080`;
    await world.node.run('bash', '-ec', [`${tool} -t nat -N KUBE-SERVICES`, ...jumps, service].join('\n'));
  }
  await world.outside.agent.listen('service', HOST_PORT);
  await serve('pod', stackNetwork(world, families));
  const rules = await savedRules(world.node);
  for (const chain of ['PREROUTING', 'OUTPUT']) {
    const order = rules.filter((rule) => rule.startsWith(`-A ${chain} `) && /KUBE-SERVICES|HOSTPORT/.test(rule));
    expect(order.map((rule) => /-j (\S+)$/.exec(rule)?.[1])).toEqual([
      'KUBE-SERVICES',
      'CNI-HOSTPORT-DNAT',
      'KUBE-SERVICES',
      'CNI-HOSTPORT-DNAT',
    ]);
  }
  for (const family of families) expect(await ask(world.node, addresses.node[family])).toBe('service');
});

describe.each(families)('tracked connections of IPv%i', (family) => {
  const host = addresses.node[family];
  const other = family === 4 ? '192.0.2.77' : '2001:db8:ffff::77';

  /** Ports from which the outside asked. */
  async function tracked(): Promise<string[]> {
    const lines = (await world.node.run('conntrack', '-L', '-f', family === 4 ? 'ipv4' : 'ipv6')).split('\n');
    return lines
      .flatMap((line) => /^.*?sport=(\d+)/.exec(line)?.[1] ?? [])
      .filter((port) => /^50\d\d$/.test(port))
      .sort();
  }

  function from(localPort: number, to: string, { port = HOST_PORT, protocol = 'udp' as 'tcp' | 'udp' } = {}) {
    return world.outside.agent.ask({ protocol, host: to, port, localPort, timeoutMs: 900 }).then(({ name }) => name);
  }

  it('go with a forwarded port, on ADD and on DEL, and no others', async () => {
    const list = stackNetwork(world, families);
    // With the first rules of a namespace the kernel begins to track.
    await serve('neighbour', list, [{ ...web, hostPort: 9999, protocol: 'udp' }]);
    const flags = family === 4 ? [] : ['nodad'];
    await world.node.run('ip', 'address', 'add', `${other}/${family === 4 ? 24 : 64}`, 'dev', 'up0', ...flags);
    await world.node.agent.listen('node', HOST_PORT);
    await world.node.agent.listen('node', 7000);
    expect(await from(5001, host)).toBe('node');
    const others = ['5002', '5003', '5004', '5005'];
    expect(await from(5002, other)).toBe('node');
    expect(await from(5003, host, { port: 7000 })).toBe('node');
    expect(await from(5004, host, { protocol: 'tcp' })).toBe('node');
    expect(await from(5005, host, { port: 9999 })).toBe('neighbour');
    expect(await tracked()).toEqual(['5001', ...others]);
    const ports = [{ ...web, protocol: 'udp', hostIP: host }];
    const { containerId } = await serve('pod', list, ports);
    expect(await tracked()).toEqual(others);
    expect(await from(5001, host)).toBe('pod');
    expect(await tracked()).toEqual(['5001', ...others]);
    await succeed(delPlugin(world, list, { plugin: 'portmap', containerId }));
    expect(await tracked()).toEqual(others);
    expect(await from(5001, host)).toBe('node');
  });
});

describe('the xtables lock', () => {
  it('is waited for', async () => {
    const list = stackNetwork(world, families);
    const pod = await world.pod();
    const { result } = await attach(world, list, { containerId: 'pod', pod });
    const wrap = hostWith(world, { iptables: 'legacy' });
    const holder = start(['flock', '/run/xtables.lock', 'bash', '-c', 'echo locked; sleep 2']);
    await new Promise((resolve) => holder.child.stdout?.once('data', resolve));
    const adding = addPortmap(world, list, { containerId: 'pod', pod, ports: [web], wrap }, result);
    const first = await Promise.race([adding.then(() => 'ADD'), holder.ended.then(() => 'lock')]);
    expect(first).toBe('lock');
    await succeed(adding);
    const saved = await world.node.run('iptables-legacy-save');
    expect(saved).toContain('--to-destination');
  });

  it('is named, with the time, when it was not free', async () => {
    const list = stackNetwork(world, families);
    const pod = await world.pod();
    const { result } = await attach(world, list, { containerId: 'pod', pod });
    const before = await dump(world);
    const { wrap } = breakTools(world, { fault: 'locked', tools: ['iptables-restore'] });
    const ended = await addPortmap(world, list, { containerId: 'pod', pod, ports: [web], wrap }, result);
    expect(ended.json, ended.said).toMatchObject({ code: 11, msg: expect.stringMatching(/xtables lock for 20 s/) });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});
