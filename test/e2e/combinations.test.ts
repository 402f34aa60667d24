/** Keys that make no sense together: told of once where the reference takes them, refused where it fails as well. */

import { expect, it } from 'vitest';
import { readShipped } from '../support/conflists.ts';
import { bothProtocols, type Conflist, type JsonObject, network } from '../support/networks.ts';
import { addressesOf, chain, leases, type PluginEnded, reference, succeed } from '../support/plugins.ts';
import { SERVICE } from '../support/reach.ts';
import { buildStage } from '../support/stage.ts';
import { addresses, createWorld, type Namespace, type World } from '../support/world.ts';

const HOST_PORT = 8080;

/** ADD that asks for a published port. */
function add(world: World, conflist: Conflist, pod: Namespace): Promise<PluginEnded & { readonly json: JsonObject }> {
  return succeed(chain(world, 'add', { conflist, pod, ports: bothProtocols(HOST_PORT, SERVICE) }));
}

/** `conflist` with more keys of its bridge plugin. */
function changed({ plugins: [bridge, ...others], ...rest }: Conflist, keys: JsonObject): Conflist {
  return { ...rest, plugins: [{ ...bridge, ...keys }, ...others] };
}

it('keys that do nothing are told of with the first container, and the attachment works', async () => {
  await using world = await createWorld();
  const layer2 = network(world, { bridge: { ipam: {} } });
  const first = await add(world, layer2, await world.pod());
  const sentences = ['"isDefaultGateway"', '"ipMasq"'].map(
    (key) =>
      `bridge cni0: ${key} does nothing without "ipam.type": the container gets no address; configure "ipam" or remove it`,
  );
  for (const sentence of sentences) expect(first.stderr).toContain(sentence);
  expect((await add(world, layer2, await world.pod())).stderr).toBe('');
});

it('hairpin mode gives an isolated port nothing back, and is told of', async () => {
  await using stage = await buildStage('11-nat');
  const { world, pods } = stage;
  const { stderr } = await add(world, changed(readShipped('11-nat'), { hairpinMode: true }), pods[0]);
  expect(stderr).toContain('bridge nodecni2: "hairpinMode" does nothing beside "portIsolation"');
  const own = { protocol: 'tcp', host: addresses.node[4], port: HOST_PORT } as const;
  expect(await world.outside.agent.ask(own)).toMatchObject({ name: 'guest1' });
  await expect(pods[0].agent.ask({ ...own, timeoutMs: 700 })).rejects.toThrow('no answer');
});

it('masquerade on a bridge of the LAN is told of, and not where the bridge has the gateway address', async () => {
  await using stage = await buildStage('13-bridged');
  const { world, pods } = stage;
  const masquerading = changed(readShipped('13-bridged'), { ipMasq: true });
  const { stderr } = await add(world, masquerading, pods[0]);
  expect(stderr).toContain(
    'bridge br0: "ipMasq" is of no use to the container: its gateway 192.0.2.254 is not this host; set "isGateway", or remove "ipMasq"',
  );
  const own = changed(masquerading, {
    ipam: { type: 'host-local', subnet: '10.7.0.0/24', gateway: '10.7.0.1', dataDir: world.dataDir },
  });
  await world.node.run('ip', 'address', 'add', '10.7.0.1/24', 'dev', 'br0');
  expect((await add(world, { ...own, name: 'own' }, pods[1])).stderr).not.toContain('of no use');
});

it('forwarded ports that lead nowhere are told of', async () => {
  await using stage = await buildStage('14-internal');
  const { world, pods } = stage;
  const internal = readShipped('14-internal');
  const portmap = { type: 'portmap', capabilities: { portMappings: true } };
  const published = { ...internal, plugins: [...internal.plugins, portmap] };
  const { stderr, json } = await add(world, published, pods[0]);
  const [address] = addressesOf(json);
  expect(stderr).toContain(
    `portmap: forwarded ports do not reach ${address}: this host has no route to it but the default one; set "isGateway" of the bridge, or remove portmap`,
  );
  const question = { protocol: 'tcp', host: addresses.node[4], port: HOST_PORT, timeoutMs: 700 } as const;
  await expect(world.outside.agent.ask(question)).rejects.toThrow('no answer');
});

it('an MTU that IPv6 cannot do with is refused, as the kernel does to the reference, and nothing is left', async () => {
  await using world = await createWorld();
  const conflist = network(world, { subnets: ['10.7.0.0/24', 'fd00:7::/64'], bridge: { mtu: 1279 } });
  const pod = await world.pod();
  expect((await chain(world, 'add', { conflist, pod, bin: reference })).exitCode).not.toBe(0);
  await succeed(chain(world, 'del', { conflist, pod, bin: reference }));
  const refused = await chain(world, 'add', { conflist, pod });
  expect(refused.stderr + refused.stdout).toContain(
    'cannot attach a container with address fd00:7::3: "mtu" is 1279, IPv6 needs 1280',
  );
  expect(leases(world)).toEqual({});
  await world.node.run('ip', 'link', 'del', 'cni0');
  await succeed(chain(world, 'add', { conflist: changed(conflist, { mtu: 1280 }), pod }));
});
