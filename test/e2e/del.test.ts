/** DEL leaves nothing, whatever is already gone, as often as it is called. */

import { rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import {
  bothProtocols,
  type Conflist,
  type Family,
  type JsonObject,
  stackNetwork,
  stacks,
  stdinFor,
} from '../support/networks.ts';
import { callPlugin, chain, leases, type PluginCall, succeed } from '../support/plugins.ts';
import { must } from '../support/process.ts';
import { breakTools } from '../support/tools.ts';
import { createWorld, type Namespace, type World } from '../support/world.ts';

const ports = bothProtocols(8080, 80);

interface Attachment {
  readonly world: World;
  readonly pod: Namespace;
  readonly conflist: Conflist;
  readonly families: readonly Family[];
  readonly result?: JsonObject;
}

interface Loss {
  readonly what: string;
  readonly lose: (attachment: Attachment) => Promise<unknown> | unknown;
}

const losses: Loss[] = [
  { what: 'nothing', lose: () => undefined },
  { what: 'the namespace', lose: ({ pod }) => loseNetns(pod) },
  { what: 'the namespace, but for a plain file at its path', lose: ({ pod }) => leavePlainFile(pod) },
  {
    what: 'the way to a namespace that lives on',
    // Its process keeps the namespace, and with it the link and the address.
    lose: async ({ pod }) => {
      await pod.agent.listen('pod', 80);
      await loseNetns(pod);
    },
  },
  { what: 'the link', lose: ({ pod }) => pod.run('ip', 'link', 'delete', 'eth0') },
  { what: 'the rules', lose: ({ world, families }) => flushRules(world, families) },
  { what: 'the bridge', lose: ({ world }) => world.node.run('ip', 'link', 'delete', 'cni0') },
  { what: 'the lease', lose: ({ world }) => rmSync(`${world.dataDir}/testnet`, { recursive: true }) },
  { what: 'the cached result', lose: () => rmSync('/var/lib/cni/results', { recursive: true }) },
  {
    what: 'everything',
    lose: async ({ world, pod, families }) => {
      await loseNetns(pod);
      await flushRules(world, families);
      await world.node.run('ip', 'link', 'delete', 'cni0');
      rmSync(world.dataDir, { recursive: true });
      rmSync('/var/lib/cni/results', { recursive: true });
    },
  },
];

describe.each(stacks)('$stack: DEL by cnitool leaves nothing after the loss of', ({ families }) => {
  it.each(losses)('$what', async ({ lose }) => {
    await using world = await createWorld();
    const pod = await world.pod();
    const conflist = stackNetwork(world, families);
    const before = await dump(world);
    await succeed(chain(world, 'add', { conflist, pod, ports }));
    expect(Object.keys(leases(world))).toHaveLength(families.length);
    await lose({ world, pod, conflist, families });
    await succeed(chain(world, 'del', { conflist, pod, ports }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    await succeed(chain(world, 'del', { conflist, pod, ports }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});

describe('DEL by the plugins themselves', () => {
  const losing = losses.filter(({ what }) => ['nothing', 'the namespace', 'the link', 'the rules'].includes(what));

  it.each(losing)('needs neither prevResult nor runtimeConfig after the loss of $what', async ({ lose }) => {
    await using world = await createWorld();
    const before = await dump(world);
    const attachment = await addDirectly(world, 'container1', 8080);
    await lose(attachment);
    await delDirectly(attachment, 'container1');
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('needs no CNI_NETNS, and takes the link of a namespace that lives on', async () => {
    await using world = await createWorld();
    const before = await dump(world);
    const attachment = await addDirectly(world, 'container1', 8080);
    await attachment.pod.agent.listen('pod', 80);
    const config = stdinFor(attachment.conflist, 'bridge', { prevResult: attachment.result });
    await succeed(callPlugin(world, { ...call(attachment, 'portmap'), command: 'DEL', netns: '' }));
    await succeed(callPlugin(world, { ...call(attachment, 'bridge'), command: 'DEL', netns: '', config }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it.each(['bridge', 'host-local', 'portmap'])('%s succeeds where nothing was ever added', async (plugin) => {
    await using world = await createWorld();
    const pod = await world.pod();
    const config = stdinFor(stackNetwork(world, [4, 6]), plugin === 'portmap' ? plugin : 'bridge');
    const before = await dump(world);
    await succeed(callPlugin(world, { plugin, command: 'DEL', pod, config }));
    await succeed(callPlugin(world, { plugin, command: 'DEL', netns: '', config }));
    await succeed(callPlugin(world, { plugin, command: 'DEL', netns: '/run/netns/never-was', config }));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('leaves another container of the same network alone', async () => {
    await using world = await createWorld();
    await addDirectly(world, 'container1', 8080);
    const before = await dump(world);
    const other = await addDirectly(world, 'container2', 8081);
    await delDirectly(other, 'container2');
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('keeps the lease while the link is not shown gone, and tells why', async () => {
    await using world = await createWorld();
    const before = await dump(world);
    const attachment = await addDirectly(world, 'container1', 8080);
    const held = leases(world);
    const { wrap } = breakTools(world, { fault: 'fail', tools: ['ip'] });
    const ended = await callPlugin(world, { ...call(attachment, 'bridge'), command: 'DEL', wrap });
    expect(ended.exitCode, ended.said).toBe(1);
    expect(ended.json, ended.said).toMatchObject({ code: expect.any(Number), msg: expect.stringContaining('ip') });
    expect(leases(world)).toEqual(held);
    await delDirectly(attachment, 'container1');
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it.each([
    { plugin: 'bridge', fault: 'fail' },
    { plugin: 'bridge', fault: 'half' },
    { plugin: 'bridge', fault: 'terminate' },
    { plugin: 'portmap', fault: 'fail' },
    { plugin: 'portmap', fault: 'terminate' },
  ] as const)('$plugin completes a DEL that met "$fault" at any step', async ({ plugin, fault }) => {
    await using world = await createWorld();
    const before = await dump(world);
    for (let step = 1; ; step += 1) {
      const attachment = await addDirectly(world, 'container1', 8080);
      if (plugin === 'bridge') await succeed(callPlugin(world, { ...call(attachment, 'portmap'), command: 'DEL' }));
      const { wrap, fired } = breakTools(world, { fault, call: step });
      const ended = await callPlugin(world, { ...call(attachment, plugin), command: 'DEL', wrap });
      if (!fired()) await succeed(Promise.resolve(ended));
      expect(ended.signal, ended.said).toBe(null);
      await delDirectly(attachment, 'container1');
      expect(await changesSince(world, before), `step ${step}: ${ended.said}`).toEqual(NO_CHANGES);
      if (!fired()) return;
    }
  });
});

function call({ pod, conflist }: Attachment, plugin: 'bridge' | 'portmap'): Omit<PluginCall, 'command'> {
  return { plugin, pod, config: stdinFor(conflist, plugin) };
}

/** Attaches a new pod, plugin by plugin. */
async function addDirectly(world: World, containerId: string, hostPort: number): Promise<Attachment> {
  const families = [4, 6] as const;
  const attachment = { world, pod: await world.pod(), conflist: stackNetwork(world, families), families };
  const bridge = { ...call(attachment, 'bridge'), containerId, command: 'ADD' };
  const { json } = await succeed(callPlugin(world, bridge));
  const runtimeConfig = { portMappings: bothProtocols(hostPort, 80) };
  const config = stdinFor(attachment.conflist, 'portmap', { prevResult: json, runtimeConfig });
  await succeed(callPlugin(world, { ...call(attachment, 'portmap'), containerId, command: 'ADD', config }));
  return { ...attachment, result: json };
}

/** In the order of a runtime, with as little as a runtime may know. */
async function delDirectly(attachment: Attachment, containerId: string): Promise<void> {
  for (const plugin of ['portmap', 'bridge'] as const) {
    const { world } = attachment;
    await succeed(callPlugin(world, { ...call(attachment, plugin), containerId, command: 'DEL' }));
  }
}

async function loseNetns(pod: Namespace): Promise<void> {
  await must(['ip', 'netns', 'delete', pod.name]);
}

/** As after an unmount that left the mount point behind. */
async function leavePlainFile(pod: Namespace): Promise<void> {
  await loseNetns(pod);
  writeFileSync(pod.path, '');
}

async function flushRules({ node }: World, families: readonly Family[]): Promise<void> {
  for (const tool of families.map((family) => (family === 4 ? 'iptables' : 'ip6tables'))) {
    await node.run(tool, '-t', 'nat', '-F');
    await node.run(tool, '-t', 'nat', '-X');
  }
}
