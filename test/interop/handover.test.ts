/** Chains of which each plugin is by another make work like any other, and GC knows what the reference made. */

import { describe, expect, it } from 'vitest';
import { type Attached, attach, collectGarbage, killPods } from '../support/attach.ts';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import {
  bothProtocols,
  type Conflist,
  type Family,
  network,
  stackNetwork,
  stacks,
  subnets,
} from '../support/networks.ts';
import { chain, mixedBin, ours, reference, succeed } from '../support/plugins.ts';
import { until } from '../support/process.ts';
import { addresses, createWorld, type World } from '../support/world.ts';

const makes = { ours, reference } as const;
type Make = keyof typeof makes;

const families: readonly Family[] = [4, 6];
const ports = bothProtocols(8080, 80);

/** All that are mixed: those of one make alone are tested elsewhere. */
const mixtures = (['ours', 'reference'] as const)
  .flatMap((bridge) => eachMake().map((hostLocal) => ({ bridge, hostLocal })))
  .flatMap((two) => eachMake().map((portmap) => ({ ...two, portmap })))
  .filter(({ bridge, hostLocal, portmap }) => bridge !== hostLocal || bridge !== portmap);

function eachMake(): Make[] {
  return ['ours', 'reference'];
}

describe('a chain', () => {
  it.each(mixtures)(
    'bridge $bridge, host-local $hostLocal, portmap $portmap',
    async ({ bridge, hostLocal, portmap }) => {
      await using world = await createWorld();
      const sources = { bridge: makes[bridge], 'host-local': makes[hostLocal], portmap: makes[portmap] };
      const bin = mixedBin(world, 'mixed', sources);
      const pod = await world.pod();
      await pod.agent.listen('pod', 80);
      const conflist = stackNetwork(world, families);
      const before = await dump(world);
      for (const verb of ['add', 'check'] as const) await succeed(chain(world, verb, { conflist, pod, ports, bin }));
      await expectServed(world);
      await succeed(chain(world, 'del', { conflist, pod, ports, bin }));
      expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    },
  );
});

/** Again and again: after an ADD by the reference, IPv6 is lost on the way for a second or two. */
async function expectServed(world: World): Promise<void> {
  for (const family of families) {
    const question = { protocol: 'tcp', host: addresses.node[family], port: 8080, timeoutMs: 300 } as const;
    const answer = await until('an answer', () => world.outside.agent.ask(question).catch(() => undefined));
    expect(answer).toEqual({ name: 'pod', seen: addresses.outside[family] });
  }
}

describe('our GC takes away what is left of the reference’s attachment, and nothing of another', () => {
  const networks = [
    ...stacks.map(({ stack, families: some }) => ({
      what: stack,
      options: { subnets: some.map((one) => subnets[one]) },
    })),
    {
      what: 'two addresses of a family',
      options: { subnets: [subnets[4], '10.8.0.0/24'], bridge: { isDefaultGateway: false } },
    },
  ];

  it.each(networks)('$what', async ({ options }) => {
    await using world = await createWorld();
    const conflist = network(world, { ...options, portmap: {} });
    const before = await dump(world);
    const kept = await attachByReference(world, conflist);
    const withOne = await dump(world);
    const lost = await attachByReference(world, conflist);
    await killPods([lost.pod]);
    expect((await changesSince(world, withOne)).left).not.toEqual([]);
    await collectGarbage(world, conflist, [kept]);
    expect(await changesSince(world, withOne)).toEqual(NO_CHANGES);
    await killPods([kept.pod]);
    await collectGarbage(world, conflist, []);
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});

async function attachByReference(world: World, conflist: Conflist): Promise<Attached> {
  const pod = await world.pod();
  const mappings = [{ hostPort: 8080 + world.pods.length, containerPort: 80, protocol: 'tcp' }];
  return attach(world, conflist, { containerId: pod.name, pod, ports: mappings, bin: reference });
}
