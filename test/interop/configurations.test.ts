/**
 * The same configurations for the reference and for us: the same answers, the same kernel, the same leases; and what one
 * made, the other checks and takes away.
 */

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { changesSince, type Dump, dump, NO_CHANGES } from '../support/dump.ts';
import type { PluginEnded } from '../support/plugins.ts';
import { type Snapshot, snapshot, withoutRandom } from '../support/snapshot.ts';
import type { Configuration } from './configuration.ts';
import { bridgeConfigurations, laterConfigurations } from './configurations/bridge.ts';
import { ipamConfigurations } from './configurations/ipam.ts';
import { loopbackConfigurations } from './configurations/loopback.ts';
import { portmapConfigurations } from './configurations/portmap.ts';
import type { Difference } from './difference.ts';
import { differences } from './differences.ts';
import { isPending } from './pending.ts';
import { type Maker, Side } from './side.ts';

/** Addresses settle, ports come up: both get so long to become the same. */
const SETTLE = { timeout: 5_000, interval: 50 };

const all = [
  ...bridgeConfigurations,
  ...laterConfigurations,
  ...ipamConfigurations,
  ...portmapConfigurations,
  ...loopbackConfigurations,
];

describe.each(all.filter((one) => !isPending(one)))('$what', (configuration) => {
  let sides: Record<Maker, Side>;
  let before: Record<Maker, Dump>;
  let added: Record<Maker, PluginEnded[]>;

  beforeAll(async () => {
    sides = await onBoth(() => Side.prepare(configuration));
    before = await onBoth((maker) => dump(sides[maker].world));
    added = await onBoth((maker) => sides[maker].add(maker));
  });

  afterAll(async () => {
    await onBoth((maker) => sides?.[maker]?.[Symbol.asyncDispose]());
  });

  it('leaves the same', async () => {
    expectSuccess(Object.values(added).flat());
    await vi.waitFor(async () => {
      const seen = await onBoth(async (maker) => ({
        ...answers(configuration, added[maker]),
        ...(await snapshot(sides[maker].world)),
      }));
      expectSame(seen, configuration);
    }, SETTLE);
  });

  it('is checked and deleted by the other', async () => {
    if (sides.ours.hasCheck) await expectPerformed('CHECK', named(configuration, 'failedCheck'));
    await expectPerformed('DEL', named(configuration, 'failedDel'));
    const changes = await onBoth((maker) => changesSince(sides[maker].world, before[maker]));
    // Record and guard, of which the reference does not know, go with our own DEL or GC: see handover.test.ts.
    const ownTraces = /\/(\.nodecni|nodecni\/portmap)\/|CNI-LOCALNET-GUARD|cni_localnet_guard/;
    const left = changes.ours.left.filter((line) => !ownTraces.test(line));
    expect({ ...changes, ours: { ...changes.ours, left } }).toEqual({ reference: NO_CHANGES, ours: NO_CHANGES });
  });

  /** On what the other made; the reference may be said to fail. */
  async function expectPerformed(verb: 'CHECK' | 'DEL', isFailed: boolean): Promise<void> {
    const ended = await onBoth((maker) => sides[maker].perform(verb, other[maker]));
    expectSuccess(ended.reference);
    if (isFailed) expect(ended.ours.map(({ exitCode }) => exitCode)).toContain(1);
    else expectSuccess(ended.ours);
  }
});

/** So that nothing is called pending for longer than it is. */
it.each(all.filter(isPending))('$what: refused so far', async (configuration) => {
  await using side = await Side.prepare(configuration);
  const ended = await side.add('ours');
  expect(ended.at(-1)).toMatchObject({ exitCode: 1, json: { code: 7 } });
});

const other: Readonly<Record<Maker, Maker>> = { reference: 'ours', ours: 'reference' };

/** At the same time. */
async function onBoth<T>(act: (maker: Maker) => Promise<T> | undefined): Promise<Record<Maker, T>> {
  const [reference, ours] = await Promise.all([act('reference'), act('ours')]);
  return { reference, ours } as Record<Maker, T>;
}

function expectSuccess(ended: readonly PluginEnded[]): void {
  for (const { exitCode, said } of ended) expect(exitCode, said).toBe(0);
}

/** Stdout by plugin, a line each. */
function answers({ plugins }: Configuration, ended: readonly PluginEnded[]): Snapshot {
  const entries = ended.map(({ stdout }, index) => {
    const { type } = plugins[index % plugins.length] ?? {};
    return [`${type} answer ${index}`, stdout.split('\n')] as const;
  });
  return Object.fromEntries(entries);
}

function named({ differs = [] }: Configuration, kind: 'failedCheck' | 'failedDel'): boolean {
  return differs.some((name) => differences[name][kind] === true);
}

/** The same but for what the configuration names, and not the same without any one of those. */
function expectSame(seen: Readonly<Record<Maker, Snapshot>>, { differs = [] }: Configuration): void {
  const evens = differs.filter((name) => differences[name].even !== undefined);
  const after = (names: readonly (typeof evens)[number][]) => {
    const even = (side: Snapshot) =>
      evened(
        withoutRandom(side),
        names.map((name) => differences[name]),
      );
    return { reference: even(seen.reference), ours: even(seen.ours) };
  };
  const { reference, ours } = after(evens);
  expect(ours).toEqual(reference);
  for (const name of evens) {
    const rest = after(evens.filter((one) => one !== name));
    expect(rest.ours, `the difference "${name}", which is named, is not to be seen`).not.toEqual(rest.reference);
  }
}

function evened(side: Snapshot, allowed: readonly Difference[]): Snapshot {
  const entries = Object.entries(side).map(([section, lines]) => {
    let same = lines;
    for (const { even } of allowed) same = even?.(same, section) ?? same;
    return [section, same] as const;
  });
  return Object.fromEntries(entries);
}
