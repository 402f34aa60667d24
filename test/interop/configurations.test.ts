/**
 * The same configurations for the reference and for us: the same answers, the same kernel, the same leases; and what one
 * made, the other checks and takes away.
 */

import { expect, it, vi } from 'vitest';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import { kernelCan, skipForKernel } from '../support/kernel.ts';
import type { PluginEnded } from '../support/plugins.ts';
import { type Snapshot, snapshot, withoutRandom } from '../support/snapshot.ts';
import type { Configuration } from './configuration.ts';
import { bridgeConfigurations, laterConfigurations, vlanConfigurations } from './configurations/bridge.ts';
import { ipamConfigurations } from './configurations/ipam.ts';
import { loopbackConfigurations } from './configurations/loopback.ts';
import { portmapConfigurations } from './configurations/portmap.ts';
import type { Difference } from './difference.ts';
import { type DifferenceName, differences } from './differences.ts';
import { type Maker, Side } from './side.ts';

/** Addresses settle, ports come up: both get so long to become the same. */
const SETTLE = { timeout: 20_000, interval: 50 };

/** Records, and the guard of 127.0.0.0/8. */
const OURS_ALONE = /\/(\.nodecni|nodecni\/portmap)\/|CNI-LOCALNET-GUARD|cni_localnet_guard/;

const hasVlans = await kernelCan(['ip', 'link', 'add', 'probe', 'type', 'bridge', 'vlan_filtering', '1']);

const configurations = [
  ...bridgeConfigurations,
  ...laterConfigurations,
  ...ipamConfigurations,
  ...portmapConfigurations,
  ...loopbackConfigurations,
  ...(hasVlans ? vlanConfigurations : []),
];

// Some at a time: much of it is waiting, and each has worlds of its own.
it.concurrent.each(configurations)('$what', async (configuration) => {
  await using reference = await Side.prepare(configuration);
  await using ours = await Side.prepare(configuration);
  const sides = { reference, ours };
  const before = await onBoth((maker) => dump(sides[maker].world));
  await expectSameLeft(configuration, sides);
  await expectHandedOver(configuration, sides);
  const changes = await onBoth((maker) => changesSince(sides[maker].world, before[maker]));
  // What of ours the reference does not know of goes with our own DEL or GC: see handover.test.ts.
  const left = changes.ours.left.filter((line) => !OURS_ALONE.test(line));
  expect({ ...changes, ours: { ...changes.ours, left } }).toEqual({ reference: NO_CHANGES, ours: NO_CHANGES });
});

type Sides = Readonly<Record<Maker, Side>>;

async function expectSameLeft(configuration: Configuration, sides: Sides): Promise<void> {
  const added = await onBoth((maker) => sides[maker].add(maker));
  expectSuccess(Object.values(added).flat());
  await vi.waitFor(async () => {
    const seen = await onBoth(async (maker) => ({
      ...answers(configuration, added[maker]),
      ...(await snapshot(sides[maker].world)),
    }));
    expectSame(seen, configuration);
  }, SETTLE);
}

/** What one made, the other checks and deletes. */
async function expectHandedOver({ differs = [] }: Configuration, sides: Sides): Promise<void> {
  const isNamed = (kind: Failure) => differs.some((name) => differences[name][kind] === true);
  if (sides.ours.hasCheck) {
    const checked = await onBoth((maker) => sides[maker].perform('CHECK', other[maker]));
    expectOutcome(checked.reference, isNamed('failedCheckOfTheirs'));
    expectOutcome(checked.ours, isNamed('failedCheck'));
  }
  const deleted = await onBoth((maker) => sides[maker].perform('DEL', other[maker]));
  expectOutcome(deleted.reference, false);
  expectOutcome(deleted.ours, isNamed('failedDel'));
}

type Failure = 'failedCheck' | 'failedCheckOfTheirs' | 'failedDel';

function expectOutcome(ended: readonly PluginEnded[], isFailed: boolean): void {
  if (isFailed) expect(ended.map(({ exitCode }) => exitCode)).toContain(1);
  else expectSuccess(ended);
}

it.for(hasVlans ? [] : vlanConfigurations)('$what', (_, context) => {
  skipForKernel(context, true, 'kernel cannot: it has no CONFIG_BRIDGE_VLAN_FILTERING');
});

const other: Readonly<Record<Maker, Maker>> = { reference: 'ours', ours: 'reference' };

/** At the same time. */
async function onBoth<T>(act: (maker: Maker) => Promise<T>): Promise<Record<Maker, T>> {
  const [reference, ours] = await Promise.all([act('reference'), act('ours')]);
  return { reference, ours };
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

/** The same but for what the configuration names, and not the same without any one of those. */
function expectSame(seen: Readonly<Record<Maker, Snapshot>>, { differs = [] }: Configuration): void {
  const evens = differs.filter((name) => differences[name].even !== undefined);
  const plain = { reference: withoutRandom(seen.reference), ours: withoutRandom(seen.ours) };
  const even = (maker: Maker, except?: DifferenceName) => {
    const names = evens.filter((name) => name !== except);
    return evened(
      plain[maker],
      names.map((name) => differences[name]),
    );
  };
  expect(even('ours')).toEqual(even('reference'));
  for (const name of evens) {
    const isSeen = JSON.stringify(even('ours', name)) !== JSON.stringify(even('reference', name));
    expect(isSeen, `the difference "${name}" is to be seen`).toBe(true);
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
