/**
 * A thousand steps in random order, three at a time, by both implementations: a model knows who lives, and none of them
 * ever loses its address or shares it.
 */

import { expect, it } from 'vitest';
import { addCall, collectGarbage, delPlugin, firstStdin, killPods } from '../../support/attach.ts';
import { dump, NO_CHANGES } from '../../support/dump.ts';
import { holders, leftSince } from '../../support/lease-state.ts';
import { type Conflist, type JsonObject, network } from '../../support/networks.ts';
import { addressesOf, callPlugin, mixedBin, ours, reference, succeed } from '../../support/plugins.ts';
import { must, until } from '../../support/process.ts';
import { createWorld, Namespace, type World } from '../../support/world.ts';

const STEPS = 1000;
const LANES = 5;
/** Thirteen addresses. */
const SUBNET = '10.44.6.0/28';
/** Of each lane: so few that they could all live, were there no dead ones. */
const MOST_ALIVE = 2;

interface Container {
  readonly id: string;
  readonly pod: Namespace;
  readonly address: string;
  readonly result: JsonObject;
}

class Model {
  readonly world: World;
  readonly conflist: Conflist;
  /** Executables to choose from. */
  readonly bins: readonly string[];
  readonly alive = new Set<Container>();
  /** Their ADD runs. */
  readonly starting = new Set<string>();
  /** A runtime lists who lives, and begins no ADD until GC with that list has ended. */
  collecting: Promise<unknown> | undefined;
  readonly done: Record<string, number> = {};
  steps = 0;
  /** What was done, and what the plugins said: for a failing test's message. */
  readonly history: string[] = [];
  #pods = 0;

  constructor(world: World) {
    this.world = world;
    this.conflist = network(world, { subnets: [SUBNET] });
    const mixed = { bridge: reference, 'host-local': ours };
    this.bins = [ours, ours, reference, mixedBin(world, 'mixed', mixed), this.#oursWithReference(world)];
  }

  #oursWithReference(world: World): string {
    return mixedBin(world, 'other', { bridge: ours, 'host-local': reference });
  }

  async newPod(): Promise<Namespace> {
    this.#pods += 1;
    const pod = new Namespace(`${this.world.id}-i${this.#pods}`);
    await must(['ip', 'netns', 'add', pod.name]);
    this.world.pods.push(pod);
    return pod;
  }

  async collect(): Promise<void> {
    while (this.collecting !== undefined) await this.collecting;
    const ids = [...[...this.alive].map(({ id }) => id), ...this.starting];
    const valid = ids.map((containerId) => ({ containerId, ifname: 'eth0' }));
    this.note(`GC but for ${ids.join(' , ')} `);
    const ended = collectGarbage(this.world, this.conflist, valid);
    this.collecting = ended.finally(() => {
      this.collecting = undefined;
    });
    for (const { stderr } of await ended) this.note(stderr);
  }

  count(what: string): void {
    this.done[what] = (this.done[what] ?? 0) + 1;
  }

  live(container: Container): void {
    const other = [...this.alive].find(({ address }) => address === container.address);
    expect(other?.id, `${container.address} of ${container.id} is held by another one that lives`).toBe(undefined);
    this.alive.add(container);
  }

  expectAllLeased(after: string): void {
    const held = holders(this.world);
    for (const { address, id } of this.alive) {
      expect(held[address], `${address} after ${after}:\n${this.about(address, id)}`).toBe(id);
    }
  }

  note(text: string): void {
    this.history.push(...text.split('\n').filter((line) => line !== ''));
  }

  /** The end of what happened to an address and a container, and at all. */
  about(address: string, id: string): string {
    const own = this.history.filter((line) => line.includes(`${address} `) || line.includes(`${id} `));
    return [...own.slice(-20), '…', ...this.history.slice(-12)].join('\n');
  }
}

it(`${STEPS} random steps of ADD, DEL, kill and GC by ours and by the reference`, async () => {
  await using world = await createWorld();
  const model = new Model(world);
  const before = await dump(world);
  await Promise.all(Array.from({ length: LANES }, (_, lane) => walk(model, lane)));
  for (const what of ['added', 'deleted', 'killed', 'late', 'collected']) {
    expect(model.done[what], `${what} of ${JSON.stringify(model.done)}`).toBeGreaterThan(20);
  }
  await killPods([...model.alive].map(({ pod }) => pod));
  await collectGarbage(world, model.conflist, []);
  await allLinksGone(world);
  expect(await leftSince(world, before)).toEqual(NO_CHANGES);
});

/** Namespaces end later than the command that deletes them does, and the links in them with them. */
function allLinksGone({ node }: World): Promise<true> {
  return until("the pods' links to go", async () => {
    const links = await node.ip<{ master?: string }>('link', 'show');
    return links.some(({ master }) => master !== undefined) ? undefined : true;
  });
}

interface Lane {
  readonly model: Model;
  readonly number: number;
  alive: Container[];
  dead: Container[];
}

async function walk(model: Model, number: number): Promise<void> {
  const lane: Lane = { model, number, alive: [], dead: [] };
  while (model.steps < STEPS) {
    model.steps += 1;
    const step = pick(stepsOf(lane));
    await step(lane);
    model.expectAllLeased(step.name);
  }
}

function stepsOf({ alive, dead }: Lane): ((lane: Lane) => Promise<void>)[] {
  return [
    ...(alive.length < MOST_ALIVE ? [add, add, add] : []),
    ...(alive.length > 0 ? [del, kill, addTwice] : []),
    ...(dead.length > 0 ? [delLate, addAgain] : []),
    collect,
  ];
}

async function add(lane: Lane): Promise<void> {
  await addAs(lane, `c${lane.number}-${lane.model.steps}`);
}

/** A container that was restarted under its ID, in a new namespace. */
async function addAgain(lane: Lane): Promise<void> {
  const former = pick(lane.dead);
  if (await addAs(lane, former.id)) lane.dead = lane.dead.filter(({ id }) => id !== former.id);
}

async function addAs(lane: Lane, containerId: string): Promise<boolean> {
  const { model } = lane;
  const { world, conflist } = model;
  const pod = await model.newPod();
  while (model.collecting !== undefined) await model.collecting;
  model.starting.add(containerId);
  model.note(`begins: ADD ${containerId} `);
  const bin = pick(model.bins);
  const ended = await callPlugin(world, {
    ...addCall({ containerId, pod, bin }, 'bridge'),
    config: firstStdin(conflist),
  });
  model.note(ended.stderr);
  if (ended.exitCode === 0 && ended.json !== undefined) {
    const container = { id: containerId, pod, address: addressesOf(ended.json)[0] ?? '', result: ended.json };
    model.note(`ADD ${containerId} got ${container.address} by ${bin}`);
    model.live(container);
    lane.alive.push(container);
    model.count('added');
  } else {
    // Full, or what the reference leased cannot be shown dead in this boot.
    expect(`${ended.json?.msg}`, ended.said).toMatch(/no IP addresses available|duplicate allocation/);
    await refused(model, pod);
  }
  model.starting.delete(containerId);
  return ended.exitCode === 0;
}

/** While it lives, in a namespace where nothing but its lease is in the way. */
async function addTwice(lane: Lane): Promise<void> {
  const { model } = lane;
  const [containerId, bin, pod] = [pick(lane.alive).id, pick(model.bins), await model.newPod()];
  const call = addCall({ containerId, pod, bin }, 'bridge');
  const ended = await callPlugin(model.world, { ...call, config: firstStdin(model.conflist) });
  model.note(`second ADD ${containerId} by ${bin}\n${ended.stderr}`);
  expect(`${ended.json?.msg}`, ended.said).toMatch(/duplicate allocation/);
  await refused(model, pod);
}

/** The reference's bridge leaves its pair behind when its IPAM plugin refuses. */
async function refused(model: Model, pod: Namespace): Promise<void> {
  await killPods([pod]);
  model.count('refused');
}

async function del(lane: Lane): Promise<void> {
  const container = pick(lane.alive);
  leave(lane, container);
  await delBy(lane.model, container, container.pod.path);
  lane.model.count('deleted');
}

/** Its namespace ends; no DEL comes, or not now. */
async function kill(lane: Lane): Promise<void> {
  const container = pick(lane.alive);
  leave(lane, container);
  lane.model.note(`killed ${container.id} ${container.address} `);
  await killPods([container.pod]);
  lane.dead.push(container);
  lane.model.count('killed');
}

/** Long after its death, when its address may be another's. */
async function delLate(lane: Lane): Promise<void> {
  const container = pick(lane.dead);
  lane.dead = lane.dead.filter((one) => one !== container);
  await delBy(lane.model, container, pick(['', container.pod.path]));
  lane.model.count('late');
}

async function collect({ model }: Lane): Promise<void> {
  await model.collect();
  model.count('collected');
}

function leave(lane: Lane, container: Container): void {
  lane.alive = lane.alive.filter((one) => one !== container);
  lane.model.alive.delete(container);
}

async function delBy(model: Model, container: Container, netns: string): Promise<void> {
  const { id: containerId, result: prevResult, address } = container;
  const bin = pick(model.bins);
  model.note(`DEL ${containerId} ${address} at "${netns}" by ${bin}`);
  const call = { plugin: 'bridge', containerId, netns, prevResult, bin };
  const { stderr } = await succeed(delPlugin(model.world, model.conflist, call));
  model.note(`${stderr}\nended: DEL ${containerId} `);
}

function pick<T>(items: readonly T[]): T {
  return items[Math.floor(Math.random() * items.length)] as T;
}
