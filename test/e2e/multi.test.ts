/** Two interfaces in one container: taking one away leaves the other as it was. */

import { describe, expect, it } from 'vitest';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import { bothProtocols, type Conflist, network } from '../support/networks.ts';
import { chain, leases, succeed } from '../support/plugins.ts';
import { addresses, createWorld, type Namespace, type World } from '../support/world.ts';

interface Interface {
  readonly ifname: string;
  readonly conflist: Conflist;
  readonly hostPort: number;
}

const PORT = 80;

const first = { name: 'testnet', bridge: 'cni0', subnets: ['10.7.0.0/24', 'fd00:7::/64'] };
const second = { name: 'second', bridge: 'cni1', subnets: ['10.8.0.0/24', 'fd00:8::/64'] };

const arrangements = [
  { where: 'on the same network', networks: [first, first] },
  { where: 'on different networks', networks: [first, second] },
];

describe.each(arrangements)('two interfaces $where', ({ networks }) => {
  it.each([
    { gone: 0, kept: 1 },
    { gone: 1, kept: 0 },
  ])('eth$kept keeps working when eth$gone goes', async (numbers) => {
    await using world = await createWorld();
    await world.outside.agent.listen('outside', PORT);
    const pod = await world.pod();
    await pod.agent.listen('pod', PORT);
    // Else either interface answers for both addresses, and the node goes on sending to the one that is gone.
    await pod.run('bash', '-c', 'cd /proc/sys/net/ipv4/conf/all && echo 1 >arp_ignore && echo 2 >arp_announce');
    const before = await dump(world);
    const interfaces = networks.map(({ name, bridge, subnets }, index) => {
      const conflist = network(world, { name, subnets, portmap: {}, bridge: { bridge, hairpinMode: true } });
      return { ifname: `eth${index}`, conflist, hostPort: 8080 + index };
    });
    for (const one of interfaces) await act(world, 'add', pod, one);
    for (const one of interfaces) await expectServed(world, one);
    for (const one of interfaces) await act(world, 'check', pod, one);

    const [gone, kept] = [interfaces[numbers.gone], interfaces[numbers.kept]];
    if (gone === undefined || kept === undefined) throw new Error('there are two');
    for (const _ of ['once', 'again']) {
      await act(world, 'del', pod, gone);
      await act(world, 'check', pod, kept);
      await expectServed(world, kept);
      await expectTalks(pod);
      expect(holders(world)).toEqual([kept.ifname, kept.ifname]);
    }
    await act(world, 'del', pod, kept);
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});

async function act(
  world: World,
  verb: 'add' | 'check' | 'del',
  pod: Namespace,
  { ifname, conflist, hostPort }: Interface,
) {
  return succeed(chain(world, verb, { conflist, pod, ifname, ports: bothProtocols(hostPort, PORT) }));
}

/** From outside, at its hostPort. */
async function expectServed(world: World, { hostPort }: Interface): Promise<void> {
  for (const family of [4, 6] as const) {
    for (const protocol of ['tcp', 'udp'] as const) {
      const answer = await world.outside.agent.ask({ protocol, host: addresses.node[family], port: hostPort });
      expect(answer).toEqual({ name: 'pod', seen: addresses.outside[family] });
    }
  }
}

/** To the outside, masqueraded. */
async function expectTalks(pod: Namespace): Promise<void> {
  for (const family of [4, 6] as const) {
    const answer = await pod.agent.ask({ protocol: 'tcp', host: addresses.outside[family], port: PORT });
    expect(answer).toEqual({ name: 'outside', seen: addresses.node[family] });
  }
}

/** Interfaces by which addresses are leased. */
function holders(world: World): (string | undefined)[] {
  const contents = [first, second].flatMap(({ name }) => Object.values(leases(world, name)));
  return contents.map((content) => content.split('\r\n')[1]);
}
