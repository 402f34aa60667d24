/**
 * The failure that users know best: the folder is full of leases of pods that ended without DEL, seven run, and every
 * new pod hangs in ContainerCreating. The whole /24, by real ADDs.
 */

import { expect, it } from 'vitest';
import { type Attached, attach, inLanes, killPods, manyPods } from '../../support/attach.ts';
import { savedRules } from '../../support/dump.ts';
import { holders, isReachable, records, whoAnswers } from '../../support/lease-state.ts';
import { bothProtocols, type Conflist, network } from '../../support/networks.ts';
import { leases } from '../../support/plugins.ts';
import { createWorld, type World } from '../../support/world.ts';

const SUBNET = '10.44.4.0/24';
const SIZE = 253;
/** Every thirty-sixth lives: seven of them, spread over the range. */
const LIVES_EVERY = 36;
/** Every tenth of the dead had ports of the node. */
const PORTS_EVERY = 10;
const NEW_PODS = 12;

const FIRST_PORT = 20_000;

it('246 dead pods of 253 make room for new ones, and the seven that live never notice', async () => {
  await using world = await createWorld();
  const conflist = network(world, { subnets: [SUBNET], portmap: {} });
  const old = await fill(world, conflist);
  const living = old.filter((_, index) => index % LIVES_EVERY === 0).slice(0, 7);
  const dead = old.filter((one) => !living.includes(one));
  expect(Object.keys(leases(world))).toHaveLength(SIZE);
  await inLanes(living, 2, async ({ pod, containerId }) => {
    await pod.run('ip', 'link', 'set', 'lo', 'up');
    await pod.agent.listen(containerId, 80);
  });
  await killPods(dead.map(({ pod }) => pod));

  const fresh = await inLanes(await manyPods(world, NEW_PODS), 2, async (pod) => {
    const number = world.pods.indexOf(pod);
    const ports = bothProtocols(FIRST_PORT + number, 80);
    const added = await attach(world, conflist, { containerId: `new-${number}`, pod, ports });
    await pod.agent.listen(added.containerId, 80);
    return added;
  });

  expectLogged(fresh, { dead, living });
  await expectUnharmed(world, living);
  await expectNothingInherited(world, { dead, living, fresh });
});

async function fill(world: World, conflist: Conflist): Promise<Attached[]> {
  const pods = await manyPods(world, SIZE);
  const hasPorts = (index: number) => index % LIVES_EVERY === 0 || index % PORTS_EVERY === 0;
  return inLanes([...pods.entries()], 3, async ([index, pod]) =>
    attach(world, conflist, {
      containerId: `old-${index}-`,
      pod,
      ports: hasPorts(index) ? bothProtocols(FIRST_PORT + index, 80) : [],
    }),
  );
}

/** One line for each one freed, with its proof; none for those that live. */
function expectLogged(fresh: readonly Attached[], { dead, living }: { dead: Attached[]; living: Attached[] }): void {
  const lines = fresh.flatMap(({ log }) => log.split('\n'));
  const about = ({ containerId, address }: Attached) =>
    lines.filter((line) => line.includes(containerId) && line.includes(address));
  expect(dead.filter((one) => about(one).length !== 1).map(({ containerId }) => containerId)).toEqual([]);
  for (const one of dead) expect(about(one)[0]).toContain(one.hostLink);
  expect(living.flatMap(about)).toEqual([]);
}

async function expectUnharmed(world: World, living: readonly Attached[]): Promise<void> {
  const held = holders(world);
  for (const { address, containerId } of living) {
    expect(held[address]).toBe(containerId);
    expect(await isReachable(world, address), containerId).toBe(true);
  }
  const names = living.map(({ containerId }) => containerId);
  expect(await whoAnswers(world, hostPortsOf(living))).toEqual(names);
  const recorded = records(world).map(({ record }) => record.containerId);
  expect(recorded).toEqual(expect.arrayContaining(names));
}

async function expectNothingInherited(
  world: World,
  { dead, living, fresh }: { dead: Attached[]; living: Attached[]; fresh: Attached[] },
): Promise<void> {
  const heirs = fresh.filter(({ address }) => dead.some((one) => one.address === address));
  expect(heirs).toHaveLength(NEW_PODS);
  expect(new Set(fresh.map(({ address }) => address)).size).toBe(NEW_PODS);
  const ports = hostPortsOf(dead);
  expect(ports.length).toBeGreaterThan(20);
  expect(await whoAnswers(world, ports)).toEqual(ports.map(() => ''));
  expect(await whoAnswers(world, hostPortsOf(fresh))).toEqual(fresh.map(({ containerId }) => containerId));
  const known = [...living, ...fresh].map(({ containerId }) => containerId);
  const named = (await savedRules(world.node)).flatMap((rule) => /id: \\?"([^"\\]+)/.exec(rule)?.[1] ?? []);
  expect(new Set(named)).toEqual(new Set(known));
  expect(Object.values(holders(world)).sort()).toEqual(known.toSorted());
}

function hostPortsOf(attached: readonly Attached[]): number[] {
  return attached.flatMap(({ ports }) => ports[0]?.hostPort ?? []);
}
