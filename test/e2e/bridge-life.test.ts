/** A bridge over its life: stable MAC addresses, recycled addresses, another subnet, another MTU. */

import { describe, expect, it } from 'vitest';
import { addBridge, attach, detach, firstStdin } from '../support/attach.ts';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import { type Conflist, type Family, type JsonObject, network, stacks, subnets } from '../support/networks.ts';
import { addressesOf, callPlugin, repository, startPlugin, succeed } from '../support/plugins.ts';
import { until } from '../support/process.ts';
import { breakTools } from '../support/tools.ts';
import { createWorld, type Namespace, type World } from '../support/world.ts';

interface Link {
  readonly ifname?: string;
  readonly address: string;
  readonly mtu: number;
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number; readonly scope: string }[];
}

async function linkOf(namespace: Namespace, name: string): Promise<Link> {
  const [link] = await namespace.ip<Link>('address', 'show', 'dev', name);
  if (link === undefined) throw new Error(`no link ${name}`);
  return link;
}

async function addressesOn(namespace: Namespace, name: string): Promise<string[]> {
  const { addr_info: found } = await linkOf(namespace, name);
  return found.filter(({ scope }) => scope !== 'link').map(({ local, prefixlen }) => `${local}/${prefixlen}`);
}

/** 3 (NET_ADDR_SET): somebody set it, so that neither udev nor the bridge picks another. */
async function assignType(namespace: Namespace, name: string): Promise<string> {
  // /sys shows the namespace of whoever mounted it.
  const script = 'mount -t sysfs none /sys && cat "/sys/class/net/$1/addr_assign_type"';
  const text = await namespace.run('unshare', '--mount', 'bash', '-c', script, 'sh', name);
  return text.trim();
}

describe.each(stacks)('$stack', ({ families }) => {
  it('the bridge keeps its MAC address while 20 ports come and go, and nobody else may choose one', async () => {
    await using world = await createWorld();
    const conflist = network(world, { subnets: families.map((family) => subnets[family]), bridge: { ipMasq: false } });
    const pod = await world.pod();
    const seen = new Set<string>();
    for (let index = 0; index < 20; index += 1) {
      const containerId = `c${index}`;
      const { hostLink } = await attach(world, conflist, { containerId, pod, ifname: `eth${index}` });
      seen.add((await linkOf(world.node, 'cni0')).address);
      if (index === 0) {
        expect(await assignType(world.node, hostLink)).toBe('3');
        expect(await assignType(pod, 'eth0')).toBe('3');
      }
    }
    for (let index = 0; index < 20; index += 1) {
      await detach(world, conflist, { containerId: `c${index}`, netns: pod.path, ifname: `eth${index}` });
      seen.add((await linkOf(world.node, 'cni0')).address);
    }
    expect([...seen]).toHaveLength(1);
    expect(await assignType(world.node, 'cni0')).toBe('3');
  });

  it('an address that another pod had a moment ago answers at once, to the node and to a sibling', async () => {
    await using world = await createWorld();
    const conflist = small(world, families);
    const sibling = await world.pod();
    await attach(world, conflist, { containerId: 'sibling', pod: sibling });
    for (let round = 0; round < 6; round += 1) {
      const pod = await world.pod();
      const containerId = `c${round}`;
      const { result } = await attach(world, conflist, { containerId, pod });
      await pod.agent.listen(containerId, 80);
      for (const host of addressesOf(result)) {
        for (const from of [sibling, world.node]) {
          const answer = await from.agent.ask({ protocol: 'udp', host, port: 80, timeoutMs: 900 });
          expect(answer.name, `round ${round}: ${host} from ${from.name}`).toBe(containerId);
        }
      }
      await detach(world, conflist, { containerId, netns: pod.path });
      const neighbours = await world.node.ip<{ dst: string }>('neigh', 'show', 'dev', 'cni0');
      for (const host of addressesOf(result)) expect(neighbours.map(({ dst }) => dst)).not.toContain(host);
    }
  });
});

it('the announcement of ADD reaches who remembers another MAC address', async () => {
  await using world = await createWorld();
  const conflist = network(world, { subnets: [subnets[4], subnets[6]], bridge: { ipMasq: false } });
  const [sibling, pod] = [await world.pod(), await world.pod()];
  await attach(world, conflist, { containerId: 'sibling', pod: sibling });
  const { result } = await attach(world, conflist, { containerId: 'one', pod });
  const { address: mac } = await linkOf(pod, 'eth0');
  for (const host of addressesOf(result)) {
    await sibling.run('ip', 'neigh', 'replace', host, 'lladdr', '02:00:00:00:00:99', 'nud', 'reachable', 'dev', 'eth0');
  }
  // By itself, since the kernel's own at link up may have come through as well.
  const script = `import('${repository}/lib/linux/libc.ts').then(({ announceMac }) => announceMac('eth0', '${mac}'))`;
  await pod.run(process.execPath, '--no-warnings', '-e', script);
  for (const host of addressesOf(result)) {
    await until(`${host} at ${mac}`, async () => {
      const [neighbour] = await sibling.ip<{ lladdr?: string }>('neigh', 'show', host);
      return neighbour?.lladdr === mac ? true : undefined;
    });
  }
});

/** Two addresses of each family: one for a sibling that stays, one that is given again and again. */
function small(world: World, families: readonly Family[]): Conflist {
  const ranges = {
    4: { subnet: '10.7.0.0/29', rangeStart: '10.7.0.2', rangeEnd: '10.7.0.3' },
    6: { subnet: 'fd00:7::/125', rangeStart: 'fd00:7::2', rangeEnd: 'fd00:7::3' },
  };
  const ipam = { ranges: families.map((family) => [ranges[family]]) };
  return network(world, { ipam, bridge: { ipMasq: false } });
}

it('an IPv6 address may be bound at once, and is neither tentative nor refused', async () => {
  await using world = await createWorld();
  const conflist = network(world, { subnets: [subnets[4], subnets[6]] });
  const pod = await world.pod();
  const { result } = await attach(world, conflist, { containerId: 'one', pod });
  const bind = `require('net').createServer().listen({ host: '${addressesOf(result)[1]}', port: 80 }, () => process.exit(0)).on('error', (error) => { console.error(error.code); process.exit(1); })`;
  await pod.run(process.execPath, '-e', bind);
  for (const state of ['tentative', 'dadfailed'] as const) {
    for (const namespace of [pod, world.node]) {
      expect(await namespace.run('ip', '-6', 'address', 'show', state, 'scope', 'global')).toBe('');
    }
  }
});

const moves = [
  { stack: 'IPv4', old: ['10.7.0.0/24'], now: ['10.8.0.0/24'], gateways: ['10.8.0.1/24'] },
  { stack: 'IPv6', old: ['fd00:7::/64'], now: ['fd00:8::/64'], gateways: ['fd00:8::1/64'] },
  {
    stack: 'dual stack',
    old: ['10.7.0.0/24', 'fd00:7::/64'],
    now: ['10.8.0.0/24', 'fd00:8::/64'],
    gateways: ['10.8.0.1/24', 'fd00:8::1/64'],
  },
] as const;

describe.each(moves)('a bridge whose subnet changed, $stack,', ({ old, now, gateways }) => {
  const networkOf = (world: World, ranges: readonly string[]) => network(world, { subnets: ranges });

  it('takes the new address when no pod is on it, and says so', async () => {
    await using world = await createWorld();
    const [before, after] = [networkOf(world, old), networkOf(world, now)];
    const pod = await world.pod();
    await attach(world, before, { containerId: 'one', pod });
    await detach(world, before, { containerId: 'one', netns: pod.path });
    const { log } = await attach(world, after, { containerId: 'two', pod });
    expect(await addressesOn(world.node, 'cni0')).toEqual(gateways);
    for (const gateway of gateways) expect(log).toContain(`now it has ${gateway}: no living port hangs on the bridge`);
  });

  it('takes it when only the port of an ADD that was killed is on it', async () => {
    await using world = await createWorld();
    const before = networkOf(world, old);
    await killedAdd(world, before, 'dead');
    await attach(world, networkOf(world, now), { containerId: 'two', pod: await world.pod() });
    expect(await addressesOn(world.node, 'cni0')).toEqual(gateways);
  });
});

it.each(moves.filter(({ stack }) => stack !== 'IPv6'))(
  'an ADD on a bridge whose subnet changed ($stack) and that a pod lives on names both addresses, the ports and the fix',
  async ({ old, now }) => {
    await using world = await createWorld();
    const living = await attach(world, network(world, { subnets: old }), {
      containerId: 'living',
      pod: await world.pod(),
    });
    const pod = await world.pod();
    const before = await dump(world);
    const ended = await addBridge(world, network(world, { subnets: now }), { containerId: 'two', pod });
    expect(ended.json, ended.said).toMatchObject({
      code: 101,
      msg: '"cni0" already has an IP address different from 10.8.0.1/24',
      details: expect.stringMatching(new RegExp(`10\\.7\\.0\\.1/24.*living ports: ${living.hostLink}; .*forceAddress`)),
    });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    expect(await addressesOn(world.node, 'cni0')).toContain('10.7.0.1/24');
  },
);

it('keeps an IPv6 network beside another one whose pods live, as the reference does', async () => {
  await using world = await createWorld();
  await attach(world, network(world, { subnets: ['fd00:7::/64'] }), { containerId: 'one', pod: await world.pod() });
  await attach(world, network(world, { subnets: ['fd00:8::/64'] }), { containerId: 'two', pod: await world.pod() });
  expect(await addressesOn(world.node, 'cni0')).toEqual(['fd00:8::1/64', 'fd00:7::1/64']);
});

/** An ADD that was killed after it joined the bridge: its port stays. */
async function killedAdd(world: World, conflist: Conflist, containerId: string): Promise<void> {
  const pod = await world.pod();
  const broken = breakTools(world, { fault: 'hang', call: 1, tools: ['iptables-restore', 'ip6tables-restore'] });
  const call = { plugin: 'bridge', command: 'ADD', containerId, pod, config: firstStdin(conflist), wrap: broken.wrap };
  const { child, ended } = startPlugin(world, call);
  await until('the masquerade rules', async () => (broken.fired() ? true : undefined), 20_000);
  // With the tool, which holds the record's lock like any child of an ADD.
  if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  await ended.catch(() => undefined);
}

describe('the MTU', () => {
  const withMtu = (world: World, mtu: number) => network(world, { bridge: { mtu, ipMasq: false } });

  async function mtus(world: World, pod: Namespace, hostLink: string): Promise<number[]> {
    const links = [await linkOf(world.node, 'cni0'), await linkOf(world.node, hostLink), await linkOf(pod, 'eth0')];
    return links.map(({ mtu }) => mtu);
  }

  it('of bridge and pair is what the configuration says, and an idle bridge follows it up and down', async () => {
    await using world = await createWorld();
    const pod = await world.pod();
    for (const mtu of [1450, 1400, 1500]) {
      const conflist = withMtu(world, mtu);
      const { hostLink } = await attach(world, conflist, { containerId: 'one', pod });
      expect(await mtus(world, pod, hostLink)).toEqual([mtu, mtu, mtu]);
      // To the last byte: IP and ICMP headers take 28.
      await pod.run('ping', '-c1', '-W2', '-M', 'do', '-s', String(mtu - 28), '10.7.0.1');
      await detach(world, conflist, { containerId: 'one', netns: pod.path });
    }
  });

  it('that changed under living pods is right at both ends of a new one, and the bridge’s is told in numbers', async () => {
    await using world = await createWorld();
    await attach(world, withMtu(world, 1500), { containerId: 'old', pod: await world.pod() });
    await world.node.run('ip', 'link', 'set', 'cni0', 'mtu', '1500');
    const pod = await world.pod();
    const { hostLink, log } = await attach(world, withMtu(world, 1400), { containerId: 'new', pod });
    expect(log).toContain('mtu of bridge cni0 is 1500, config says 1400');
    expect((await mtus(world, pod, hostLink)).slice(1)).toEqual([1400, 1400]);
  });
});

it('a default route without gateway beside isDefaultGateway is one route', async () => {
  await using world = await createWorld();
  const routes = [{ dst: '0.0.0.0/0' }, { dst: '::/0' }];
  const conflist = network(world, { subnets: [subnets[4], subnets[6]], ipam: { routes } });
  const pod = await world.pod();
  const { result } = await attach(world, conflist, { containerId: 'one', pod });
  for (const family of ['-4', '-6']) {
    expect(await pod.ip<JsonObject>(family, 'route', 'show', 'default')).toHaveLength(1);
  }
  expect((result as { routes: unknown[] }).routes).toHaveLength(2);
  const config = { ...firstStdin(conflist), prevResult: result };
  await succeed(callPlugin(world, { plugin: 'bridge', command: 'CHECK', containerId: 'one', pod, config }));
});
