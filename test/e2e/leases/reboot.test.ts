/** After a reboot the leases of the former boot come back by themselves; another machine's never do. */

import { existsSync, readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type Attached,
  addBridge,
  addCall,
  attach,
  firstStdin,
  inLanes,
  killPods,
  manyPods,
} from '../../support/attach.ts';
import { savedRules } from '../../support/dump.ts';
import { holders, isReachable, records, whoAnswers } from '../../support/lease-state.ts';
import { bothProtocols, type Conflist, type JsonObject, network } from '../../support/networks.ts';
import { callPlugin, chain, leases, reference, succeed } from '../../support/plugins.ts';
import { must } from '../../support/process.ts';
import { reboot } from '../../support/reboot.ts';
import { seeAllProcesses } from '../../support/visible-processes.ts';
import { createWorld, type World } from '../../support/world.ts';

/** Five addresses. */
const SUBNET = '10.44.3.0/29';
const SIZE = 5;
const TEN_YEARS_S = 10 * 365 * 86_400;

function small(world: World, ipam: JsonObject = {}): Conflist {
  return network(world, { subnets: [SUBNET], portmap: {}, ipam });
}

/** Attaches `count` new pods called `name1`, …, the first with a port of the node. */
async function fill(world: World, conflist: Conflist, { name, count = SIZE }: { name: string; count?: number }) {
  const pods = await manyPods(world, count);
  return inLanes([...pods.entries()], 2, ([index, pod]) => {
    const ports = index === 0 ? bothProtocols(8000 + name.length, 80) : [];
    return attach(world, conflist, { containerId: `${name}${index + 1}`, pod, ports });
  });
}

async function expectFull(world: World, conflist: Conflist, why = ''): Promise<void> {
  const before = leases(world);
  const ended = await addBridge(world, conflist, { containerId: 'one-more', pod: await world.pod() });
  expect(ended.json, `${why} ${ended.said}`).toMatchObject({ code: 100 });
  expect(leases(world), why).toEqual(before);
}

function namesOf(added: readonly Attached[]): string[] {
  return added.map(({ containerId }) => containerId).sort();
}

describe('a /29 that is full', () => {
  it('is filled again after a reboot, with no operator; without one it stays full', async () => {
    await using world = await createWorld();
    const conflist = small(world);
    await fill(world, conflist, { name: 'old' });
    await expectFull(world, conflist);
    await using _ = await reboot(world);
    const added = await fill(world, conflist, { name: 'fresh' });
    expect(Object.values(holders(world)).sort()).toEqual(namesOf(added));
    expect(
      records(world)
        .map(({ record }) => record.containerId)
        .sort(),
    ).toEqual(namesOf(added));
    for (const { address } of added) expect(await isReachable(world, address)).toBe(true);
    const log = added.map((one) => one.log).join('');
    for (const number of [1, 2, 3, 4, 5]) expect(log).toMatch(new RegExp(`old${number}.*boot`));
    await expectFull(world, conflist);
  });

  it('is swept once after a reboot even when only a part of it was leased', async () => {
    await using world = await createWorld();
    const conflist = small(world);
    await fill(world, conflist, { name: 'old', count: 2 });
    await using _ = await reboot(world);
    await fill(world, conflist, { name: 'fresh', count: 1 });
    expect(Object.values(holders(world))).toEqual(['fresh1']);
  });

  it('gives a container of the former boot the same address', async () => {
    await using world = await createWorld();
    const conflist = small(world);
    const old = await fill(world, conflist, { name: 'old' });
    await using _ = await reboot(world);
    const third = old[2];
    const again = await attach(world, conflist, { containerId: 'old3', pod: await world.pod() });
    expect(again.address).toBe(third?.address);
  });

  it('does not give an address together with the ports of a former boot, when its rules were restored', async () => {
    await using world = await createWorld();
    const conflist = small(world);
    const old = await fill(world, conflist, { name: 'old' });
    const saved = await world.node.run('iptables-save');
    await using _ = await reboot(world);
    await world.node.run('bash', '-c', `iptables-restore <<'END'\n${saved}END`);
    const added = await fill(world, conflist, { name: 'fresh' });
    const [first] = old;
    const heir = added.find(({ address }) => address === first?.address);
    await heir?.pod.run('ip', 'link', 'set', 'lo', 'up');
    await heir?.pod.agent.listen('heir', 80);
    expect(await whoAnswers(world, [8003])).toEqual(['']);
    const rules = await savedRules(world.node);
    expect(rules.filter((rule) => /id: \\?"old/.test(rule))).toEqual([]);
  });

  it('is left alone with "reclaim": false', async () => {
    await using world = await createWorld();
    const conflist = small(world, { reclaim: false });
    await fill(world, conflist, { name: 'old' });
    await using _ = await reboot(world);
    await expectFull(world, conflist);
  });
});

describe('the folder of a file system that machines share', () => {
  const machines = [
    { whose: 'another machine', machineId: 'f'.repeat(32), isTouched: false },
    { whose: 'a machine without id', machineId: '', isTouched: false },
    // Where the machine itself has none, there is no telling either.
    { whose: 'this machine', machineId: undefined, isTouched: existsSync('/etc/machine-id') },
  ];

  it.each(machines)('keeps what is of $whose: $isTouched is false', async ({ machineId, isTouched }) => {
    await using world = await createWorld();
    // Not one of those that are known to be of one machine alone.
    await must(['mount', '-t', 'ramfs', 'ramfs', world.dataDir]);
    const conflist = small(world);
    await fill(world, conflist, { name: 'old' });
    if (machineId !== undefined) for (const { path } of records(world)) patch(path, { machineId });
    await using _boot = await reboot(world);
    if (!isTouched) return await expectFull(world, conflist);
    const added = await fill(world, conflist, { name: 'fresh' });
    expect(Object.values(holders(world)).sort()).toEqual(namesOf(added));
  });

  it.each(machines)('is no matter on a file system of one machine alone ($whose)', async ({ machineId }) => {
    await using world = await createWorld();
    const conflist = small(world);
    await fill(world, conflist, { name: 'old' });
    if (machineId !== undefined) for (const { path } of records(world)) patch(path, { machineId });
    await using _ = await reboot(world);
    await fill(world, conflist, { name: 'fresh' });
  });
});

describe.each([
  { when: 'ten years ago', shiftS: -TEN_YEARS_S },
  { when: 'in ten years', shiftS: TEN_YEARS_S },
])('leases and records that say they were written $when', ({ shiftS }) => {
  it('are kept while their pods live', async () => {
    await using world = await createWorld();
    const conflist = small(world);
    const added = await fill(world, conflist, { name: 'old' });
    shiftTimes(world, added, shiftS);
    await expectFull(world, conflist);
    // Their records count, all the same: whoever dies makes room.
    await killPods(added.slice(0, 1).map(({ pod }) => pod));
    await afterFruitlessSweep();
    const next = await attach(world, conflist, { containerId: 'next', pod: await world.pod() });
    expect(next.address).toBe(added[0]?.address);
  });

  it('come back after a reboot', async () => {
    await using world = await createWorld();
    const conflist = small(world);
    const added = await fill(world, conflist, { name: 'old' });
    shiftTimes(world, added, shiftS);
    await using _ = await reboot(world);
    await fill(world, conflist, { name: 'fresh' });
  });

  it('are kept while their pods live, when the reference wrote them', async () => {
    await using world = await createWorld();
    const conflist = small(world);
    const pods = await manyPods(world, SIZE);
    const added = await inLanes([...pods.entries()], 2, ([index, pod]) =>
      attach(world, conflist, { containerId: `ref${index}`, pod, bin: reference }),
    );
    for (const { address } of added) setTime(`${world.dataDir}/testnet/${address}`, shiftS);
    await expectFull(world, conflist);
    for (const { address } of added) expect(await isReachable(world, address)).toBe(true);
  });
});

describe('leases of the reference', () => {
  async function fillByReference(world: World, conflist: Conflist): Promise<void> {
    for (const pod of await manyPods(world, SIZE)) {
      const options = { containerId: `ref-${pod.name}`, pod, bin: reference };
      await succeed(callPlugin(world, { ...addCall(options, 'host-local'), config: firstStdin(conflist) }));
    }
  }

  function setTimes(world: World, shiftS: number): void {
    for (const address of Object.keys(leases(world))) setTime(`${world.dataDir}/testnet/${address}`, shiftS);
  }

  it('come back when they are of a former boot, nothing has their address and nobody answers', async () => {
    await using world = await createWorld();
    const conflist = small(world);
    await fillByReference(world, conflist);
    await expectFull(world, conflist, 'written in this boot:');
    await using _ = await reboot(world);
    await using _processes = await seeAllProcesses();
    setTimes(world, -TEN_YEARS_S);
    await fill(world, conflist, { name: 'fresh' });
  });

  it('are kept when their time lies in the future: a clock that was set back shows nothing', async () => {
    await using world = await createWorld();
    const conflist = small(world);
    await fillByReference(world, conflist);
    await using _ = await reboot(world);
    setTimes(world, TEN_YEARS_S);
    await expectFull(world, conflist);
  });

  it('are kept while the sandbox of their entry in the result cache is there', async () => {
    await using world = await createWorld();
    const conflist = small(world);
    const pod = await world.pod();
    await succeed(chain(world, 'add', { conflist, pod, bin: reference }));
    // Neither a link nor an address shows that it lives.
    await pod.run('ip', 'link', 'del', 'eth0');
    setTimes(world, -TEN_YEARS_S);
    const [kept] = Object.keys(leases(world));
    for (const other of await manyPods(world, SIZE - 1)) {
      await attach(world, conflist, { containerId: other.name, pod: other });
    }
    await expectFull(world, conflist);
    expect(Object.keys(leases(world))).toContain(kept);
  });
});

/** A fruitless sweep is not repeated for 5 seconds. */
function afterFruitlessSweep(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5_100));
}

function patch(path: string, over: JsonObject): void {
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...over }));
}

function setTime(path: string, shiftS: number): void {
  const seconds = Date.now() / 1000 + shiftS;
  utimesSync(path, seconds, seconds);
}

/** As if the clock had been wrong when they were written: lease and record agree with each other as before. */
function shiftTimes(world: World, added: readonly Attached[], shiftS: number): void {
  for (const { path, record } of records(world)) {
    const own = added.find(({ containerId }) => containerId === record.containerId);
    const lease = `${world.dataDir}/testnet/${own?.address}`;
    setTime(lease, shiftS);
    const { mtimeNs, ctimeNs } = statSync(lease, { bigint: true });
    const leasesBefore = record.leases as JsonObject[];
    const recorded = leasesBefore.map((one) => ({ ...one, mtimeNs: String(mtimeNs), ctimeNs: String(ctimeNs) }));
    patch(path, { leases: recorded, timeMs: Number(record.timeMs) + shiftS * 1000 });
    setTime(path, shiftS);
  }
}
