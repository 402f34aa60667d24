/** Where the networks of conflist/ end: what their README says of routes, firewall rules and addresses asked for. */

import { expect, it } from 'vitest';
import { setBridgeNetfilter } from '../support/bridge-netfilter.ts';
import { readmeCommands, readShipped, withIpv6 } from '../support/conflists.ts';
import { type Family, type JsonObject, stdinFor } from '../support/networks.ts';
import { callPlugin, chain, ours, placeConflist, succeed } from '../support/plugins.ts';
import { until } from '../support/process.ts';
import { SERVICE } from '../support/reach.ts';
import { attachGuests, buildStage } from '../support/stage.ts';
import { addresses, createWorld, type Namespace } from '../support/world.ts';

const FAMILIES: readonly Family[] = [4, 6];

/** Who answers at `host`; `nobody` when none does soon. */
async function answerer(from: Namespace, host: string, port = SERVICE): Promise<string> {
  const answer = from.agent.ask({ protocol: 'tcp', host, port, timeoutMs: 1_000 });
  return (await answer.catch(() => undefined))?.name ?? 'nobody';
}

/** What a guest can do that may configure itself: a route by `gateway`, which nobody talks it out of. */
async function addRoute(guest: Namespace, to: string, gateway: string): Promise<void> {
  for (const name of ['ipv4/conf/all', 'ipv4/conf/eth0', 'ipv6/conf/all', 'ipv6/conf/eth0']) {
    await guest.sysctl(`net/${name}/accept_redirects`, 0);
  }
  await guest.run('ip', 'route', 'add', to, 'via', gateway);
}

it('11-nat: two guests that route through the node meet there, unless its rules are in place', async () => {
  await using stage = await buildStage('11-nat');
  const { node, outside } = stage.world;
  const { guests } = await attachGuests(stage, withIpv6(readShipped('11-nat'), { subnet: 'fd64:2b9e:6f10::/64' }));
  const [one, two] = guests;
  for (const family of FAMILIES) {
    const [[first = ''], [second = '']] = [one.addresses[family], two.addresses[family]];
    await addRoute(one.namespace, second, one.gateway[family]);
    await addRoute(two.namespace, first, two.gateway[family]);
    await outside.run('ip', 'route', 'add', first, 'via', addresses.node[family]);
  }
  const look = async (family: Family) => ({
    otherGuest: await answerer(one.namespace, two.addresses[family][0] ?? ''),
    neighbour: await answerer(outside, one.addresses[family][0] ?? ''),
    otherPort: await answerer(one.namespace, addresses.node[family], two.hostPort),
    port: await answerer(outside, addresses.node[family], one.hostPort),
    outside: await answerer(one.namespace, addresses.outside[family]),
  });
  // Where a guest can use another's published port at all.
  await setBridgeNetfilter(node, 0);
  const open = { otherGuest: 'guest2', neighbour: 'guest1', otherPort: 'guest2', port: 'guest1', outside: 'outside' };
  for (const family of FAMILIES) expect(await look(family)).toEqual(open);
  await node.run('bash', '-ec', readmeCommands('11-nat'));
  const walled = { ...open, otherGuest: 'nobody', neighbour: 'nobody', otherPort: 'nobody' };
  for (const family of FAMILIES) expect(await look(family)).toEqual(walled);
});

it('13-bridged: where iptables drops what is forwarded, the rule of its chapter lets guests through', async () => {
  await using stage = await buildStage('13-bridged');
  const { node } = stage.world;
  const [one] = (await attachGuests(stage, readShipped('13-bridged'))).guests;
  await node.run('iptables', '-P', 'FORWARD', 'DROP');
  expect(await answerer(one.namespace, addresses.outside[4])).toBe('nobody');
  await node.run('iptables', '-I', 'FORWARD', '-i', 'br0', '-o', 'br0', '-j', 'ACCEPT');
  expect(await answerer(one.namespace, addresses.outside[4])).toBe('outside');
});

it('14-internal: a link-local address leads to the node and back, unless its rules are in place', async () => {
  await using stage = await buildStage('14-internal');
  const { node } = stage.world;
  const [one, two] = (await attachGuests(stage, readShipped('14-internal'))).guests;
  const toNode = `${await linkLocal(node, 'nodecni4')}%eth0`;
  const toGuest = `${await linkLocal(one.namespace, 'eth0')}%nodecni4`;
  const look = async () => ({
    fromGuest: await answerer(one.namespace, toNode),
    fromNode: await answerer(node, toGuest),
    otherGuest: await answerer(one.namespace, two.addresses[4][0] ?? ''),
  });
  expect(await look()).toEqual({ fromGuest: 'node', fromNode: 'guest1', otherGuest: 'guest2' });
  await node.run('bash', '-ec', readmeCommands('14-internal'));
  expect(await look()).toEqual({ fromGuest: 'nobody', fromNode: 'nobody', otherGuest: 'guest2' });
});

async function linkLocal(namespace: Namespace, link: string): Promise<string> {
  return until(`a link-local address of ${link}`, async () => {
    const [found] = await namespace.ip<{ addr_info: { local?: string; tentative?: boolean }[] }>(
      ...['-6', 'address', 'show', 'dev', link, 'scope', 'link'],
    );
    return found?.addr_info.find(({ local, tentative }) => local !== undefined && tentative !== true)?.local;
  });
}

it('15-host-only: a guest with a default route gets out by its own address, unless its rules are in place', async () => {
  await using stage = await buildStage('15-host-only');
  const { node, outside } = stage.world;
  const conflist = withIpv6(readShipped('15-host-only'), { subnet: 'fd67:2b9e:6f10::/64' });
  const [one, two] = (await attachGuests(stage, conflist)).guests;
  const look = async (family: Family) => ({
    out: await answerer(one.namespace, addresses.outside[family]),
    back: await answerer(outside, one.addresses[family][0] ?? ''),
    node: await answerer(node, one.addresses[family][0] ?? ''),
    otherGuest: await answerer(one.namespace, two.addresses[family][0] ?? ''),
  });
  for (const family of FAMILIES) {
    await addRoute(one.namespace, 'default', one.gateway[family]);
    // The uplink here has no link-local address, to ask for a neighbour in a guest's name.
    expect(await answerer(node, addresses.outside[family])).toBe('outside');
    expect(await look(family)).toMatchObject({ out: 'nobody', back: 'nobody' });
    await outside.run('ip', 'route', 'add', one.addresses[family][0] ?? '', 'via', addresses.node[family]);
    expect(await look(family)).toEqual({ out: 'outside', back: 'guest1', node: 'guest1', otherGuest: 'guest2' });
  }
  await node.run('bash', '-ec', readmeCommands('15-host-only'));
  const walled = { out: 'nobody', back: 'nobody', node: 'guest1', otherGuest: 'guest2' };
  for (const family of FAMILIES) expect(await look(family)).toEqual(walled);
});

it('22-two-ranges: a route by a router of the operator leads through that', async () => {
  await using stage = await buildStage('22-two-ranges');
  const { world, beyond } = stage;
  const [one] = (await attachGuests(stage, readShipped('22-two-ranges'))).guests;
  await world.node.run(
    ...['bash', '-ec', `ip link add router0 master nodecni7 up type veth peer name eth1 netns ${beyond.name}`],
  );
  await beyond.run(
    ...['bash', '-ec', 'ip address add 10.69.0.9/24 dev eth1; ip link set eth1 up; ip address add 203.0.113.1 dev lo'],
  );
  expect(await answerer(one.namespace, '203.0.113.1')).toBe('world');
});

it('23-static-address: the commands of its chapter give the addresses, and others are refused', async () => {
  await using world = await createWorld();
  const conflist = readShipped('23-static-address');
  const names = ['blue', 'red', 'green'];
  const pods = [await world.pod(), await world.pod(), await world.pod()];
  const commands = names.reduce(
    (text, name, index) => text.replace(` ${name}`, ` ${pods[index]?.path}`),
    readmeCommands('23-static-address'),
  );
  const variables = `export NETCONFPATH=${placeConflist(world, conflist)} CNI_PATH=${ours} PATH=${ours}:$PATH\n`;
  await world.node.run('bash', '-ec', variables + commands);
  const found = await Promise.all(pods.map((pod) => addressOf(pod)));
  expect(found).toEqual(['10.70.0.10', '10.70.0.11', '10.70.0.12']);
  const pod = await world.pod();
  const refused = async (...ips: string[]) => {
    const config = stdinFor(conflist, 'bridge', { runtimeConfig: { ips } });
    return (await callPlugin(world, { plugin: 'bridge', command: 'ADD', pod, config })).json;
  };
  expect(await refused('10.70.0.10')).toMatchObject({ code: 101 });
  expect(await refused('10.70.0.1')).toMatchObject({ code: 101 });
  expect(await refused('10.71.0.10')).toMatchObject({ code: 7 });
  for (const each of pods) await succeed(chain(world, 'del', { conflist, pod: each }));
});

async function addressOf(pod: Namespace): Promise<string | undefined> {
  const [link] = await pod.ip<{ addr_info: { local: string }[] }>('-4', 'address', 'show', 'dev', 'eth0');
  return link?.addr_info[0]?.local;
}

it('a network of one guest can ask for its address itself', async () => {
  await using world = await createWorld();
  const { plugins, ...rest } = readShipped('23-static-address');
  const [bridge = {}, ...others] = plugins;
  const asking: JsonObject = { ...bridge, args: { cni: { ips: ['10.70.0.10'] } } };
  const pod = await world.pod();
  await succeed(chain(world, 'add', { conflist: { ...rest, plugins: [asking, ...others] }, pod }));
  expect(await addressOf(pod)).toBe('10.70.0.10');
});
