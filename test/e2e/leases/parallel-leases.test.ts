/** Hundreds of calls at once, by ours and by the reference, on one lock: addresses distinct, none lost, nobody waits for ever. */

import { describe, expect, it } from 'vitest';
import {
  type Attached,
  addCall,
  attach,
  collectGarbage,
  detach,
  firstStdin,
  gcPlugin,
  inLanes,
  manyPods,
} from '../../support/attach.ts';
import { dump, NO_CHANGES } from '../../support/dump.ts';
import { holders, leftSince } from '../../support/lease-state.ts';
import { bothProtocols, type Conflist, network } from '../../support/networks.ts';
import { addressesOf, callPlugin, mixedBin, ours, reference, succeed } from '../../support/plugins.ts';
import { createWorld, type Namespace, type World } from '../../support/world.ts';

const SUBNET = '10.44.8.0/24';
const ADDS = 200;
const DELS = 100;
/** There from the start, of which DELs come at the same time as the ADDs: at no time are there more than 253. */
const OLD = 50;

interface Storm {
  readonly world: World;
  readonly conflist: Conflist;
  readonly pod: Namespace;
}

async function add({ world, conflist, pod }: Storm, containerId: string, bin: string): Promise<string> {
  const call = { ...addCall({ containerId, pod, bin }, 'host-local'), config: firstStdin(conflist), timeoutMs: 60_000 };
  const { json } = await succeed(callPlugin(world, call));
  return addressesOf(json)[0] ?? '';
}

async function del({ world, conflist, pod }: Storm, containerId: string, bin: string): Promise<void> {
  const call = { plugin: 'host-local', command: 'DEL', containerId, pod, bin, timeoutMs: 60_000 };
  await succeed(callPlugin(world, { ...call, config: firstStdin(conflist) }));
}

describe.each([
  { by: 'ours', bins: [ours] },
  { by: 'ours and the reference by turns', bins: [ours, reference] },
])('host-local by $by', ({ bins }) => {
  const binOf = (number: number) => bins[number % bins.length] ?? ours;

  it(`gives ${ADDS} addresses at once, beside ${DELS} DELs and a GC: all distinct, none lost`, async () => {
    await using world = await createWorld();
    const conflist = network(world, { subnets: [SUBNET] });
    const storm = { world, conflist, pod: await world.pod() };
    const old = Array.from({ length: OLD }, (_, number) => `old-${number}`);
    const fresh = Array.from({ length: ADDS }, (_, number) => `new-${number}`);
    await inLanes([...old.entries()], 4, ([number, id]) => add(storm, id, binOf(number)));
    // Half of the DELs are of those that were there, half of new ones as soon as they are there.
    const isDeleted = (number: number) => number % (ADDS / (DELS - OLD)) === 0;
    const added = fresh.map(async (id, number) => {
      const address = await add(storm, id, binOf(number));
      if (isDeleted(number)) await del(storm, id, binOf(number + 1));
      return { id, address, isDeleted: isDeleted(number) };
    });
    const deleted = old.map((id, number) => del(storm, id, binOf(number + 1)));
    const valid = [...old, ...fresh].map((containerID) => ({ containerID, ifname: 'eth0' }));
    const keys = { 'cni.dev/valid-attachments': valid };
    await succeed(gcPlugin(world, firstStdin(conflist), 'host-local', keys));
    const kept = (await Promise.all(added)).filter((one) => !one.isDeleted);
    await Promise.all(deleted);

    expect(kept).toHaveLength(ADDS + OLD - DELS);
    expect(new Set(kept.map(({ address }) => address)).size).toBe(kept.length);
    expect(holders(world)).toEqual(Object.fromEntries(kept.map(({ address, id }) => [address, id])));
  });
});

describe('chains of both implementations', () => {
  const mixtures = [
    {
      whose: "our bridge with the reference's host-local",
      sources: { bridge: ours, 'host-local': reference, portmap: ours },
    },
    {
      whose: "the reference's bridge with our host-local",
      sources: { bridge: reference, 'host-local': ours, portmap: reference },
    },
  ];

  it.each(mixtures)("do not stand in each other's way: $whose, beside ours alone", async ({ sources }) => {
    await using world = await createWorld();
    const conflist = network(world, { subnets: [SUBNET], portmap: {} });
    const before = await dump(world);
    const bins = [mixedBin(world, 'mixed', sources), ours];
    const pods = await manyPods(world, 24);
    // The reference's bridge fails when two of it make the bridge at once.
    const [first, ...others] = [...pods.entries()];
    const attachOne = ([number, pod]: [number, Namespace]): Promise<Attached> => {
      const bin = bins[number % 2] ?? ours;
      return attach(world, conflist, { containerId: `c${number}`, pod, ports: bothProtocols(9000 + number, 80), bin });
    };
    const added = [
      first === undefined ? [] : await attachOne(first),
      ...(await Promise.all(others.map(attachOne))),
    ].flat();
    expect(new Set(added.map(({ address }) => address)).size).toBe(pods.length);
    expect(holders(world)).toEqual(Object.fromEntries(added.map(({ address, containerId }) => [address, containerId])));
    await Promise.all(
      added.map(({ containerId, pod, result, ports }, number) => {
        // Each by the other one than it was added by.
        const bin = bins[(number + 1) % 2] ?? ours;
        return detach(world, conflist, { containerId, netns: pod.path, prevResult: result, ports, bin });
      }),
    );
    expect(holders(world)).toEqual({});
    // The reference knows nothing of our records.
    await collectGarbage(world, conflist, []);
    expect(await leftSince(world, before)).toEqual(NO_CHANGES);
  });
});
