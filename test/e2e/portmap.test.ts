/** portmap beyond plain traffic: what it does not do, what it remembers, and flows of before. */

import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import { type Family, type PortMapping, stackNetwork, stdinFor } from '../support/networks.ts';
import { callPlugin, chain, type PluginCall, succeed } from '../support/plugins.ts';
import { breakTools } from '../support/tools.ts';
import { addresses, createWorld, type Namespace, type World } from '../support/world.ts';

const families: readonly Family[] = [4, 6];
const PORT = 80;
/** A client that keeps its port keeps its flow, too. */
const localPort = 5_555;

let world: World;

beforeEach(async () => {
  world = await createWorld();
});

afterEach(() => world?.[Symbol.asyncDispose]());

async function attach(name: string, ports: readonly PortMapping[]): Promise<Namespace> {
  const pod = await world.pod();
  await pod.agent.listen(name, PORT);
  await succeed(chain(world, 'add', { conflist: stackNetwork(world, families), pod, ports }));
  return pod;
}

function ask(host: string, port: number, protocol: 'tcp' | 'udp' = 'udp') {
  const own = protocol === 'udp' ? { localPort } : {};
  return world.outside.agent.ask({ protocol, host, port, timeoutMs: 900, ...own });
}

it('starts no tool without mappings and without a record of some', async () => {
  const pod = await world.pod();
  const config = stdinFor(stackNetwork(world, families), 'portmap', { prevResult: { cniVersion: '1.1.0' } });
  const { wrap, calls } = breakTools(world, { fault: 'fail' });
  const call: PluginCall = { plugin: 'portmap', command: 'ADD', pod, config, wrap };
  for (const command of ['ADD', 'CHECK', 'DEL']) await succeed(callPlugin(world, { ...call, command }));
  expect(calls()).toEqual([]);
});

it('needs one transaction per family for ADD and for DEL, however many ports', async () => {
  const ports = Array.from({ length: 1000 }, (_, index) => ({
    hostPort: 9000 + index,
    containerPort: PORT,
    protocol: 'tcp',
  }));
  const pod = await world.pod();
  const conflist = stackNetwork(world, families);
  const { json: prevResult } = await succeed(
    callPlugin(world, { plugin: 'bridge', command: 'ADD', pod, config: stdinFor(conflist, 'bridge') }),
  );
  const config = stdinFor(conflist, 'portmap', { prevResult, runtimeConfig: { portMappings: ports } });
  // The first ADD of a node also makes the shared chains.
  for (const command of ['ADD', 'DEL']) await succeed(callPlugin(world, { plugin: 'portmap', command, pod, config }));
  for (const command of ['ADD', 'DEL']) {
    const { wrap, calls } = breakTools(world, { fault: 'fail', call: 1_000 });
    await succeed(callPlugin(world, { plugin: 'portmap', command, pod, config, wrap }));
    const tools = calls().map((line) => line.split(' ')[0]);
    expect(tools, command).toEqual(['iptables-restore', 'ip6tables-restore']);
  }
});

describe.each(families)('IPv%i', (family) => {
  const host = addresses.node[family];

  it('takes over a UDP flow that was there before the mapping', async () => {
    await expect(ask(host, 8080)).rejects.toThrow('no answer');
    await attach('pod', [{ hostPort: 8080, containerPort: PORT, protocol: 'udp' }]);
    expect(await ask(host, 8080)).toMatchObject({ name: 'pod' });
  });

  it('hands a UDP flow on to the next pod', async () => {
    const ports = [{ hostPort: 8080, containerPort: PORT, protocol: 'udp' }];
    const first = await attach('first', ports);
    expect(await ask(host, 8080)).toMatchObject({ name: 'first' });
    await succeed(chain(world, 'del', { conflist: stackNetwork(world, families), pod: first, ports }));
    await attach('second', ports);
    expect(await ask(host, 8080)).toMatchObject({ name: 'second' });
  });

  it('keeps to the hostIP', async () => {
    const other = family === 4 ? '192.0.2.77' : '2001:db8:ffff::77';
    const flags = family === 4 ? [] : ['nodad'];
    await world.node.run('ip', 'address', 'add', `${other}/${family === 4 ? 24 : 64}`, 'dev', 'up0', ...flags);
    await attach('pod', [{ hostPort: 8080, containerPort: PORT, protocol: 'tcp', hostIP: other }]);
    expect(await ask(other, 8080, 'tcp')).toMatchObject({ name: 'pod' });
    await expect(ask(host, 8080, 'tcp')).rejects.toThrow('no answer');
  });

  it('maps a protocol and no other', async () => {
    await attach('pod', [{ hostPort: 8080, containerPort: PORT, protocol: 'tcp' }]);
    expect(await ask(host, 8080, 'tcp')).toMatchObject({ name: 'pod' });
    await expect(ask(host, 8080, 'udp')).rejects.toThrow('no answer');
  });

  it('leaves traffic to other hosts’ same port alone', async () => {
    await world.outside.agent.listen('outside', 8080);
    const pod = await attach('pod', [{ hostPort: 8080, containerPort: PORT, protocol: 'tcp' }]);
    const question = { protocol: 'tcp', host: addresses.outside[family], port: 8080 } as const;
    for (const from of [pod, world.node]) expect(await from.agent.ask(question)).toMatchObject({ name: 'outside' });
  });
});

it('a second ADD with other ports leaves those of the second', async () => {
  const before = await dump(world);
  const pod = await world.pod();
  const conflist = stackNetwork(world, families);
  await pod.agent.listen('pod', PORT);
  const { json: prevResult } = await succeed(
    callPlugin(world, { plugin: 'bridge', command: 'ADD', pod, config: stdinFor(conflist, 'bridge') }),
  );
  for (const hostPort of [8080, 8081]) {
    const runtimeConfig = { portMappings: [{ hostPort, containerPort: PORT, protocol: 'tcp' }] };
    const config = stdinFor(conflist, 'portmap', { prevResult, runtimeConfig });
    await succeed(callPlugin(world, { plugin: 'portmap', command: 'ADD', pod, config }));
  }
  expect(await ask(addresses.node[4], 8081, 'tcp')).toMatchObject({ name: 'pod' });
  for (const plugin of ['portmap', 'bridge']) {
    await succeed(callPlugin(world, { plugin, command: 'DEL', pod, config: stdinFor(conflist, plugin) }));
  }
  expect(await changesSince(world, before)).toEqual(NO_CHANGES);
});

it('a DEL without its record reports rules that it finds and cannot take out, and the next one does it', async () => {
  const before = await dump(world);
  const pod = await world.pod();
  const prevResult = {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'eth0', sandbox: pod.path }],
    ips: [{ address: '10.88.0.5/16', interface: 0 }],
  };
  const runtimeConfig = { portMappings: [{ hostPort: 8080, containerPort: PORT, protocol: 'tcp' }] };
  const config = stdinFor(stackNetwork(world, families), 'portmap', { prevResult, runtimeConfig });
  const call: PluginCall = { plugin: 'portmap', command: 'DEL', pod, config };
  await succeed(callPlugin(world, { ...call, command: 'ADD' }));
  rmSync('/var/lib/cni/nodecni/portmap', { recursive: true });
  const { wrap, fired } = breakTools(world, { fault: 'fail', tools: ['iptables-restore'] });
  const { exitCode, json, said } = await callPlugin(world, { ...call, wrap });
  expect(fired()).toBe(true);
  expect({ exitCode, json }, said).toMatchObject({ exitCode: 1, json: { code: 102 } });
  await succeed(callPlugin(world, call));
  expect(await changesSince(world, before)).toEqual(NO_CHANGES);
});
