/** kill -9 at random instants: the next ADD, DEL or GC puts it right, and no address is ever held twice by the living. */

import { describe, expect, it } from 'vitest';
import {
  addBridge,
  addCall,
  attach,
  collectGarbage,
  delPlugin,
  detach,
  firstStdin,
  inLanes,
  killPods,
  manyPods,
} from '../../support/attach.ts';
import { dump, NO_CHANGES } from '../../support/dump.ts';
import { holders, isReachable, leftSince, records, whoAnswers } from '../../support/lease-state.ts';
import { bothProtocols, type Conflist, type JsonObject, network, stdinFor } from '../../support/networks.ts';
import { addressesOf, leases, type PluginCall, type PluginEnded, startPlugin, succeed } from '../../support/plugins.ts';
import { must, until } from '../../support/process.ts';
import { createWorld, type Namespace, type World } from '../../support/world.ts';

const ROUNDS = 400;
/** A call waits for the kernel about half of its time. */
const LANES = 6;
/** Of the calls: the others show how long one takes, on this machine and with so many at once. */
const KILLED = 0.8;
/** Far fewer addresses than rounds: full again and again. */
const SUBNET = '10.44.2.0/26';

/** Who lives, by all that the test knows: those whose ADD ended well and whose DEL has not begun. */
class Living {
  readonly #world: World;
  readonly #conflist: Conflist;
  readonly byAddress = new Map<string, string>();

  constructor(world: World, conflist: Conflist) {
    this.#world = world;
    this.#conflist = conflist;
  }

  add(containerId: string, result: JsonObject): void {
    for (const address of addressesOf(result)) {
      expect(this.byAddress.get(address), `${address} of ${containerId} is held by another one that lives`).toBe(
        undefined,
      );
      this.byAddress.set(address, containerId);
    }
  }

  remove(containerId: string): void {
    for (const [address, holder] of this.byAddress) if (holder === containerId) this.byAddress.delete(address);
  }

  expectLeased(): void {
    const found = holders(this.#world, this.#conflist.name);
    for (const [address, containerId] of this.byAddress) expect(found[address], address).toBe(containerId);
  }
}

interface Round {
  /** What plugins said in all rounds: for a failing test's message. */
  readonly log: string[];
  readonly pace: { typicalMs: number };
  readonly world: World;
  readonly conflist: Conflist;
  readonly living: Living;
  readonly pod: Namespace;
  readonly containerId: string;
  readonly hostPort: number;
}

it(`${ROUNDS} rounds of ADD and DEL by bridge and portmap, killed at random instants, leave nothing after GC`, async () => {
  await using world = await createWorld();
  const conflist = network(world, { subnets: [SUBNET], portmap: {} });
  const before = await dump(world);
  const living = new Living(world, conflist);
  const log: string[] = [];
  const pace = { typicalMs: 100 };
  const pods = await manyPods(world, ROUNDS);
  const fates = await inLanes([...pods.entries()], LANES, async ([index, pod]) => {
    const round = { log, pace, world, conflist, living, pod, containerId: `c${index}`, hostPort: 10_000 + index };
    const fate = await play(round);
    if (index % 20 === 0) living.expectLeased();
    return fate;
  });
  // A test whose kills all come too early or too late would show nothing.
  for (const fate of ['killed', 'added'] as const)
    expect(fates.filter((one) => one === fate).length).toBeGreaterThan(20);
  living.expectLeased();
  await collectGarbage(world, conflist, []);
  expect(await leftSince(world, before)).toEqual(NO_CHANGES);
  expect(records(world)).toEqual([]);
  expect(await interfacesIn(pods)).toEqual([]);
});

type Fate = 'killed' | 'added' | 'refused';

async function play(round: Round): Promise<Fate> {
  const { living, containerId } = round;
  const [fate, result] = await addKilled(round);
  if (result !== undefined) living.add(containerId, result);
  const next = pick(['again', 'del', 'kill del', 'leave'] as const);
  switch (next) {
    case 'again':
      await addAgain(round, fate);
      await del(round, { isKilled: false });
      break;
    case 'del':
      await del(round, { isKilled: false });
      break;
    case 'kill del':
      await del(round, { isKilled: true });
      await del(round, { isKilled: false });
      break;
    case 'leave':
      await leave(round);
      break;
    default:
      throw next satisfies never;
  }
  return fate;
}

function pick<T>(items: readonly T[]): T {
  return items[Math.floor(Math.random() * items.length)] as T;
}

/** Both plugins, each with a kill that may come too late. */
async function addKilled(round: Round): Promise<[Fate, JsonObject | undefined]> {
  const { conflist, pod, containerId, hostPort } = round;
  const options = { containerId, pod };
  const added = await killed(round, { ...addCall(options, 'bridge'), config: firstStdin(conflist) });
  if (added.exitCode !== 0) return [added.signal === null ? refusedFull(added, about(round)) : 'killed', undefined];
  const runtimeConfig = { portMappings: bothProtocols(hostPort, 80) };
  const config = stdinFor(conflist, 'portmap', { prevResult: added.json, runtimeConfig });
  const mapped = await killed(round, { ...addCall(options, 'portmap'), config });
  if (mapped.exitCode === 0) return ['added', added.json];
  expect(mapped.signal, mapped.said).toBe('SIGKILL');
  return ['killed', added.json];
}

/** The one refusal that is right: so many live that the range is full. */
function refusedFull(ended: PluginEnded, before: string): Fate {
  expect(ended.json, `${ended.said}\nafter:\n${before}`).toMatchObject({ code: 100 });
  return 'refused';
}

/** Half of the kills take the plugin alone, half its children as well. Returns when all of them have ended. */
async function killed({ world, log, pace }: Round, call: PluginCall): Promise<PluginEnded> {
  const { child, ended } = startPlugin(world, call);
  const pid = child.pid ?? 0;
  const [target, delayMs] = [pick([pid, -pid]), Math.random() * 1.5 * pace.typicalMs];
  const isKilled = Math.random() < KILLED;
  const timer = setTimeout(() => isKilled && kill(target), delayMs);
  const result = await ended;
  clearTimeout(timer);
  if (!isKilled) pace.typicalMs = 0.8 * pace.typicalMs + 0.2 * result.durationMs;
  await until(`the children of ${call.plugin}`, async () => (isGroupAlive(pid) ? undefined : true), 20_000);
  const how = result.exitCode ?? `${target < 0 ? 'all' : 'alone'} killed after ${Math.round(delayMs)} ms`;
  const said = `${call.plugin} ${call.command} ${call.containerId}: ${how} ${result.stdout} ${result.stderr}`;
  log.push(said);
  return { ...result, json: result.exitCode === null ? undefined : JSON.parse(result.stdout || '{}'), said };
}

function kill(target: number): void {
  try {
    process.kill(target, 'SIGKILL');
  } catch {
    // ESRCH: it has ended by itself.
  }
}

function isGroupAlive(pid: number): boolean {
  try {
    return process.kill(-pid, 0);
  } catch {
    // ESRCH: none of them is left.
    return false;
  }
}

/** After a kill the same container gets its network; one that has it is refused, and loses nothing. */
async function addAgain(round: Round, fate: Fate): Promise<void> {
  const { world, conflist, living, pod, containerId, log } = round;
  const own = [...living.byAddress].find(([, holder]) => holder === containerId);
  // The kill may have come after the last step, too.
  const isComplete = records(world).some(
    ({ record }) => record.containerId === containerId && record.state === 'added',
  );
  const again = await addBridge(world, conflist, { containerId, pod });
  log.push(`ADD ${containerId} again: ${again.said}`);
  if (own !== undefined || isComplete) {
    expect(again.json, `${fate}: ${again.said}`).toMatchObject({ code: expect.any(Number) });
    if (own !== undefined) expect(holders(world)[own[0]], again.said).toBe(containerId);
  } else if (again.exitCode === 0 && again.json !== undefined) living.add(containerId, again.json);
  else refusedFull(again, about(round));
}

/** All that plugins said of the round's container. */
function about({ log, containerId }: Round): string {
  return log.filter((text) => new RegExp(`\\b${containerId}\\b`).test(text)).join('\n');
}

async function del(round: Round, { isKilled }: { isKilled: boolean }): Promise<void> {
  const { world, conflist, living, pod, containerId, log } = round;
  living.remove(containerId);
  for (const plugin of ['portmap', 'bridge']) {
    const config = stdinFor(conflist, plugin);
    const call: PluginCall = { plugin, command: 'DEL', containerId, pod, config };
    if (isKilled) await killed(round, call);
    else log.push((await succeed(delPlugin(world, conflist, { plugin, containerId, netns: pod.path }))).stderr);
  }
  if (!isKilled) expect(Object.values(holders(world))).not.toContain(containerId);
}

/** No DEL ever comes; most of the containers end. */
async function leave({ living, pod, containerId }: Round): Promise<void> {
  if (Math.random() < 0.25) return;
  living.remove(containerId);
  await killPods([pod]);
}

/** Paths of pods that live and have more than lo. */
async function interfacesIn(pods: readonly Namespace[]): Promise<string[]> {
  const script = 'for n; do nsenter --net="$n" ip -o link 2>/dev/null | grep -v " lo:" | sed "s|^|$n |"; done; true';
  const text = await must(['bash', '-c', script, 'sh', ...pods.map(({ path }) => path)]);
  return text.split('\n').filter((line) => line !== '');
}

describe('a container that lives', () => {
  it('loses nothing by a second ADD of the same ID, whose error says who holds what and how to release it', async () => {
    await using world = await createWorld();
    const conflist = network(world, { subnets: [SUBNET], portmap: {} });
    const pod = await world.pod();
    const one = await attach(world, conflist, { containerId: 'one', pod, ports: bothProtocols(8081, 80) });
    const before = await dump(world);
    // In a namespace of its own nothing but the lease stands in its way.
    for (const where of [pod, await world.pod()]) {
      const again = await addBridge(world, conflist, { containerId: 'one', pod: where });
      expect(again.exitCode, again.said).toBe(1);
      expect(await leftSince(world, before), again.said).toEqual(NO_CHANGES);
      if (where === pod) continue;
      const said = `${again.json?.msg} ${again.json?.details}`;
      expect(said).toContain('duplicate allocation is not allowed');
      for (const word of [one.address, 'one', 'old', 'alive', 'cnictl release']) expect(said).toContain(word);
    }
    expect(await isReachable(world, one.address)).toBe(true);
  });

  it('gets the same address again when it is shown dead', async () => {
    await using world = await createWorld();
    const conflist = network(world, { subnets: [SUBNET], portmap: {} });
    const pods = [await world.pod(), await world.pod(), await world.pod()] as const;
    const one = await attach(world, conflist, { containerId: 'one', pod: pods[0], ports: bothProtocols(8081, 80) });
    await attach(world, conflist, { containerId: 'two', pod: pods[1] });
    await killPods([pods[0]]);
    const again = await attach(world, conflist, { containerId: 'one', pod: pods[2], ports: bothProtocols(8082, 80) });
    expect(again.address).toBe(one.address);
    await pods[2].agent.listen('one', 80);
    expect(await whoAnswers(world, [8081, 8082])).toEqual(['', 'one']);
    expect(Object.values(leases(world))).toHaveLength(2);
  });

  it.each([{ withResult: true }, { withResult: false }])(
    'is not harmed by a late DEL of another whose path leads to it now (prevResult: $withResult)',
    async ({ withResult }) => {
      await using world = await createWorld();
      const conflist = network(world, { subnets: [SUBNET], portmap: {} });
      const pod = await world.pod();
      const late = await attach(world, conflist, { containerId: 'late', pod, ports: bothProtocols(8081, 80) });
      await must(['ip', 'netns', 'del', pod.name]);
      await must(['ip', 'netns', 'add', pod.name]);
      const next = await attach(world, conflist, { containerId: 'next', pod, ports: bothProtocols(8082, 80) });
      await pod.run('ip', 'link', 'set', 'lo', 'up');
      await pod.agent.listen('next', 80);
      const result = withResult ? { prevResult: late.result } : {};
      for (const _ of ['once', 'again']) {
        await detach(world, conflist, { containerId: 'late', netns: pod.path, ...result });
        expect(await isReachable(world, next.address)).toBe(true);
        expect(await whoAnswers(world, [8081, 8082])).toEqual(['', 'next']);
        expect(holders(world)).toEqual({ [next.address]: 'next' });
        expect(records(world).map(({ record }) => record.containerId)).toEqual(['next']);
      }
    },
  );
});
