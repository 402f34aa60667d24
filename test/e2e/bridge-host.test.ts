/** Hosts that lack something: told at the first use of a bridge, once, with the fix; or refused before anything is built. */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { addBridge, attach, detach } from '../support/attach.ts';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import { type Conflist, type JsonObject, network, subnets } from '../support/networks.ts';
import { type Command, exec } from '../support/process.ts';
import { createWorld, type Namespace, type World } from '../support/world.ts';

/** `command` where an empty folder hides `path`. Mounted inside its namespace: /proc/sys/net is another one in each. */
function hiding(path: string): (command: Command) => Command {
  return ([nsenter, net = '', ...command]) => [
    nsenter,
    net,
    '/usr/bin/unshare',
    '--mount',
    '--propagation',
    'private',
    '/bin/sh',
    '-c',
    'mount -t tmpfs none "$0" && exec "$@"',
    path,
    ...command,
  ];
}

async function addressesIn(pod: Namespace): Promise<string[]> {
  const links = await pod.ip<{ addr_info: { local: string; scope: string }[] }>('address', 'show', 'dev', 'eth0');
  return links.flatMap(({ addr_info: found }) => found.filter(({ scope }) => scope === 'global')).map((it) => it.local);
}

const hosts = [
  { what: 'without IPv6', prepare: async (_: World) => hiding('/proc/sys/net/ipv6') },
  {
    what: 'with IPv6 disabled',
    prepare: async ({ node }: World) => {
      await node.run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1');
      return (command: Command) => command;
    },
  },
];

describe.each(hosts)('on a host $what', ({ prepare }) => {
  it('an IPv4 network works, from ADD to DEL', async () => {
    await using world = await createWorld();
    const wrap = await prepare(world);
    const pod = await world.pod();
    const before = await dump(world);
    const conflist = network(world);
    const { result } = await attach(world, conflist, { containerId: 'one', pod, wrap });
    expect(await addressesIn(pod)).toEqual(['10.7.0.2']);
    await detach(world, conflist, { containerId: 'one', netns: pod.path, prevResult: result });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it.each([
    { range: 'an IPv6 range', ranges: [subnets[6]] },
    { range: 'a dual stack', ranges: [subnets[4], subnets[6]] },
  ])('$range is refused plainly, and nothing is left', async ({ ranges }) => {
    await using world = await createWorld();
    const wrap = await prepare(world);
    const pod = await world.pod();
    const before = await dump(world);
    const ended = await addBridge(world, network(world, { subnets: ranges }), { containerId: 'one', pod, wrap });
    expect(ended.json, ended.said).toMatchObject({
      code: 7,
      msg: expect.stringMatching(/^cannot attach a container with address fd00:7::2: .*IPv6/),
      details: expect.stringContaining('take the IPv6 range out'),
    });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    expect(await world.node.ip('link', 'show', 'type', 'bridge')).toEqual([]);
  });
});

interface Lack {
  readonly what: string;
  readonly prepare?: (world: World) => Promise<unknown> | unknown;
  readonly wrap?: (command: Command) => Command;
  readonly options?: JsonObject;
  readonly says: RegExp;
}

const lacks: Lack[] = [
  {
    what: 'FORWARD drops, as Docker makes it',
    prepare: ({ node }) => node.run('iptables', '-P', 'FORWARD', 'DROP'),
    says: /chain FORWARD of iptables drops .*"iptables -I FORWARD -i cni0 -j ACCEPT" and "iptables -I FORWARD -o cni0 -j ACCEPT"/,
  },
  {
    what: 'a chain of nftables drops',
    prepare: ({ node }) =>
      node.run(
        'nft',
        'add table inet mine; add chain inet mine forwarded { type filter hook forward priority 0; policy drop; }',
      ),
    says: /chain forwarded of the nftables table inet mine drops .*"nft insert rule inet mine forwarded iifname cni0 accept"/,
  },
  {
    what: 'bridged packets pass iptables by',
    prepare: ({ node }) => node.run('sysctl', '-qw', 'net.bridge.bridge-nf-call-iptables=0'),
    says: /net\/bridge\/bridge-nf-call-iptables is off.*"sysctl -w net\.bridge\.bridge-nf-call-iptables=1"/,
  },
  {
    what: 'br_netfilter is not loaded',
    wrap: hiding('/proc/sys/net/bridge'),
    says: /br_netfilter is not loaded.*"modprobe br_netfilter"/,
  },
  {
    what: 'forwarding is hidden',
    wrap: hiding('/proc/sys/net/ipv4'),
    says: /IPv4 forwarding cannot be seen: \/proc\/sys\/net\/ipv4\/ip_forward is hidden/,
  },
  {
    what: 'forwarding is off, and the bridge is gateway by its own address, which turns nothing on',
    prepare: ({ node }) => node.run('bash', '-ec', 'ip link add cni0 type bridge; ip address add 10.7.0.1/24 dev cni0'),
    options: { isDefaultGateway: false },
    says: /IPv4 forwarding is off.*"sysctl -w net\.ipv4\.ip_forward=1"/,
  },
  {
    what: 'a route of the node covers the subnet',
    prepare: ({ node }) => node.run('ip', 'route', 'add', '10.0.0.0/8', 'via', '192.0.2.2'),
    says: /10\.7\.0\.0\/24 overlaps with the route 10\.0\.0\.0\/8 on up0/,
  },
  {
    what: 'the node has an address in the subnet',
    prepare: ({ node }) => node.run('ip', 'address', 'add', '10.7.0.9/28', 'dev', 'up0'),
    says: /10\.7\.0\.0\/24 overlaps with the address 10\.7\.0\.9\/28 of up0/,
  },
  {
    what: 'another configuration has the subnet',
    prepare: (world) => configure(network(world, { name: 'other', subnets: ['10.7.0.0/16'] })),
    says: /10\.7\.0\.0\/24 overlaps with subnet 10\.7\.0\.0\/16 of network "other"/,
  },
];

const CONF_FOLDER = '/etc/cni/net.d';

function configure(conflist: Conflist): void {
  mkdirSync(CONF_FOLDER, { recursive: true });
  writeFileSync(`${CONF_FOLDER}/${conflist.name}.conflist`, JSON.stringify(conflist));
}

describe('the first use of a bridge warns, once, when', () => {
  it.each(lacks)('$what', async ({ prepare, wrap, options = {}, says }) => {
    await using world = await createWorld();
    using _ = { [Symbol.dispose]: () => rmSync(CONF_FOLDER, { recursive: true, force: true }) };
    await prepare?.(world);
    const conflist = network(world, { bridge: options });
    const calls = ['one', 'two'].map((containerId) => ({ containerId, ...(wrap === undefined ? {} : { wrap }) }));
    const logs: string[] = [];
    for (const call of calls) logs.push((await attach(world, conflist, { ...call, pod: await world.pod() })).log);
    expect(logs[0]).toMatch(says);
    expect(logs[0]?.trimEnd().split('\n')).toHaveLength(1);
    expect(logs[1]).toBe('');
  });

  it.each([
    {
      what: 'an accept for the bridge',
      prepare: async ({ node }: World) => {
        await node.run('iptables', '-P', 'FORWARD', 'DROP');
        await node.run('iptables', '-A', 'FORWARD', '-i', 'cni0', '-j', 'ACCEPT');
      },
    },
    {
      what: 'the configuration of this very network',
      prepare: (world: World) => configure(network(world)),
    },
    {
      what: "flannel's own address",
      prepare: ({ node }: World) => node.run('ip', 'address', 'add', '10.7.0.0/32', 'dev', 'up0'),
    },
    { what: 'nothing at all', prepare: () => undefined },
  ])('but not of $what', async ({ prepare }) => {
    await using world = await createWorld();
    using _ = { [Symbol.dispose]: () => rmSync(CONF_FOLDER, { recursive: true, force: true }) };
    await prepare(world);
    expect((await attach(world, network(world), { containerId: 'one', pod: await world.pod() })).log).toBe('');
  });
});

it('"overlap": "fail" refuses such a network and leaves nothing, until the subnet is free', async () => {
  await using world = await createWorld();
  await world.node.run('ip', 'route', 'add', '10.0.0.0/8', 'via', '192.0.2.2');
  const conflist = network(world, { bridge: { overlap: 'fail' } });
  const pod = await world.pod();
  const before = await dump(world);
  for (const _ of ['once', 'again']) {
    const ended = await addBridge(world, conflist, { containerId: 'one', pod });
    expect(ended.json, ended.said).toMatchObject({
      code: 101,
      msg: expect.stringContaining('10.7.0.0/24 overlaps with the route 10.0.0.0/8 on up0'),
    });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    expect(await world.node.ip('link', 'show', 'type', 'bridge')).toEqual([]);
  }
  await exec(world.node.enter(['ip', 'route', 'del', '10.0.0.0/8']));
  await attach(world, conflist, { containerId: 'one', pod });
});
