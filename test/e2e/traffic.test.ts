/** Traffic through a bridge with portmap: who reaches whom, and whom the other side sees. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { setBridgeNetfilter } from '../support/bridge-netfilter.ts';
import { bothProtocols, type Family, stackNetwork, stacks } from '../support/networks.ts';
import { addressesOf, chain, succeed } from '../support/plugins.ts';
import { addresses, createWorld, type Namespace, type World } from '../support/world.ts';

const SERVICE = 80;
const HOST_PORT = 8080;

interface Pod {
  readonly namespace: Namespace;
  readonly address: Readonly<Record<Family, string>>;
}

// Where bridged packets pass iptables, a pod reaches its own hostPort by hairpin only; elsewhere without.
const variants = [
  ...stacks.map((stack) => ({
    ...stack,
    backend: 'iptables',
    ruleLayout: 'reference',
    hairpinMode: true,
    bridgeNetfilter: 1 as const,
  })),
  {
    stack: 'dual stack without hairpin mode',
    families: [4, 6] as const,
    backend: 'iptables',
    ruleLayout: 'reference',
    hairpinMode: false,
    bridgeNetfilter: 0 as const,
  },
  {
    stack: 'dual stack',
    families: [4, 6] as const,
    backend: 'nftables',
    ruleLayout: 'reference',
    hairpinMode: true,
    bridgeNetfilter: 1 as const,
  },
  {
    stack: 'dual stack in sets',
    families: [4, 6] as const,
    backend: 'nftables',
    ruleLayout: 'sets',
    hairpinMode: true,
    bridgeNetfilter: 1 as const,
  },
];

describe.each(variants)('$stack by $backend', ({ families, backend, ruleLayout, hairpinMode, bridgeNetfilter }) => {
  let world: World;
  let server: Pod;
  let client: Pod;

  beforeAll(async () => {
    world = await createWorld();
    await setBridgeNetfilter(world.node, bridgeNetfilter);
    await world.outside.agent.listen('outside', SERVICE);
    server = await attach('server', HOST_PORT);
    client = await attach('client', HOST_PORT + 1);
  });

  afterAll(() => world?.[Symbol.asyncDispose]());

  async function attach(name: string, hostPort: number): Promise<Pod> {
    const namespace = await world.pod();
    await namespace.agent.listen(name, SERVICE);
    const conflist = stackNetwork(world, families, {
      bridge: { hairpinMode, ipMasqBackend: backend, ruleLayout },
      portmap: { backend, ruleLayout },
    });
    const { json } = await succeed(
      chain(world, 'add', { conflist, pod: namespace, ports: bothProtocols(hostPort, SERVICE) }),
    );
    const found = addressesOf(json);
    const of = (colon: boolean) => found.find((address) => address.includes(':') === colon) ?? '';
    return { namespace, address: { 4: of(false), 6: of(true) } };
  }

  const cases = families.flatMap((family) => (['tcp', 'udp'] as const).map((protocol) => ({ family, protocol })));

  describe.each(cases)('IPv$family $protocol', ({ family, protocol }) => {
    function ask(from: Namespace, host: string, port: number, timeoutMs?: number) {
      return from.agent.ask({ protocol, host, port, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
    }

    it('leads from pod to pod, and each sees the other by its own address', async () => {
      const there = await ask(client.namespace, server.address[family], SERVICE);
      expect(there).toEqual({ name: 'server', seen: client.address[family] });
      const back = await ask(server.namespace, client.address[family], SERVICE);
      expect(back).toEqual({ name: 'client', seen: server.address[family] });
    });

    it('leads from a pod to the outside, which sees the address of the node', async () => {
      const answer = await ask(client.namespace, addresses.outside[family], SERVICE);
      expect(answer).toEqual({ name: 'outside', seen: addresses.node[family] });
    });

    it('leads from the node to a pod', async () => {
      expect(await ask(world.node, server.address[family], SERVICE)).toMatchObject({ name: 'server' });
    });

    it('leads from the outside to a hostPort, and the pod sees who asks', async () => {
      const answer = await ask(world.outside, addresses.node[family], HOST_PORT);
      expect(answer).toEqual({ name: 'server', seen: addresses.outside[family] });
    });

    it('does not lead from the outside to a port that is not mapped', async () => {
      await expect(ask(world.outside, addresses.node[family], HOST_PORT + 2, 300)).rejects.toThrow('no answer');
    });

    it('leads from another pod to a hostPort', async () => {
      expect(await ask(client.namespace, addresses.node[family], HOST_PORT)).toMatchObject({ name: 'server' });
    });

    it('leads from a pod to its own hostPort', async () => {
      expect(await ask(server.namespace, addresses.node[family], HOST_PORT)).toMatchObject({ name: 'server' });
    });

    it('leads from the node to a hostPort at its own address', async () => {
      expect(await ask(world.node, addresses.node[family], HOST_PORT)).toMatchObject({ name: 'server' });
    });

    // The kernel never routes ::1 to another link, so there is no such thing for IPv6.
    if (family === 4) {
      it('leads from localhost on the node to a hostPort', async () => {
        expect(await ask(world.node, '127.0.0.1', HOST_PORT)).toMatchObject({ name: 'server' });
      });
    }
  });

  it('answers the first datagram that comes right after ADD', async () => {
    const { namespace, address } = await attach('fresh', HOST_PORT + 3);
    for (const family of families) {
      const [within, mapped] = await Promise.all([
        client.namespace.agent.ask({ protocol: 'udp', host: address[family], port: SERVICE, timeoutMs: 900 }),
        world.outside.agent.ask({
          protocol: 'udp',
          host: addresses.node[family],
          port: HOST_PORT + 3,
          timeoutMs: 900,
        }),
      ]);
      expect([within.name, mapped.name]).toEqual(['fresh', 'fresh']);
    }
    for (const { name, ip } of [world.node, namespace].map((it) => ({ name: it.name, ip: it.ip.bind(it) }))) {
      expect(await tentative(ip), name).toEqual([]);
    }
  });

  async function tentative(ip: Namespace['ip']): Promise<string[]> {
    const links = await ip<{ addr_info: { local?: string; scope: string }[] }>('-6', 'address', 'show', 'tentative');
    const all = links.flatMap(({ addr_info }) => addr_info ?? []);
    return all.filter(({ scope }) => scope === 'global').map(({ local }) => local ?? '');
  }
});

it.each(stacks)('lets the first $stack pod of a node be reached and talk at once', async ({ families }) => {
  await using world = await createWorld();
  await world.outside.agent.listen('outside', SERVICE);
  const pod = await world.pod();
  await pod.agent.listen('pod', SERVICE);
  const ports = bothProtocols(HOST_PORT, SERVICE);
  await succeed(chain(world, 'add', { conflist: stackNetwork(world, families), pod, ports }));
  // From outside first: the node then has to find the pod by itself.
  for (const family of families) {
    const inward = { protocol: 'udp', host: addresses.node[family], port: HOST_PORT, timeoutMs: 900 } as const;
    expect(await world.outside.agent.ask(inward)).toEqual({ name: 'pod', seen: addresses.outside[family] });
    const outward = { protocol: 'udp', host: addresses.outside[family], port: SERVICE, timeoutMs: 900 } as const;
    expect(await pod.agent.ask(outward)).toEqual({ name: 'outside', seen: addresses.node[family] });
  }
});
