/** What an ADD that was refused can do about it: take back what the dead hold, or say who lives. */
import { describeJudged } from '../../lib/attachment/describe.ts';
import { leaseNames } from '../../lib/attachment/lease-store.ts';
import { observe } from '../../lib/attachment/observe.ts';
import { reclaim } from '../../lib/attachment/reclaim.ts';
import type { Store } from '../../lib/attachment/store.ts';
import { loadSubjects } from '../../lib/attachment/subject.ts';
import { condemn, type Judged, judgeAll, judgeHolders, sweepWhenFull } from '../../lib/attachment/sweep.ts';
import { messageOf } from '../../lib/cni/errors.ts';
import type { Adding } from './add.ts';
import type { RangeSet } from './ranges.ts';
import type { RefusedError } from './refusal.ts';
import { describeUsage, isOf, usageIfFull, usageOf } from './usage.ts';

/** The ADD to try again; throws `error` with what is known about it when there is nothing to hope for. */
export async function makeRoom(adding: Adding, error: RefusedError): Promise<Adding> {
  const { refusal } = error;
  switch (refusal.kind) {
    case 'held':
      return takeBack(adding, error, refusal.names);
    case 'full':
      return sweepFor(adding, error, refusal.set);
    default:
      throw refusal satisfies never;
  }
}

/** Its own leases of before, or the one of an address asked for: dead ones are given up, and the same is given again. */
async function takeBack(adding: Adding, error: RefusedError, names: readonly string[]): Promise<Adding> {
  const { store, config, call } = adding;
  const judged = judgeHolders(store, names, observe(store, config.recovery));
  const isDead = judged.length > 0 && judged.every(({ verdict }) => verdict === 'dead');
  if (!isDead || !config.recovery.reclaim) throw error.withDetails(describeHeld(store, names, judged));
  const all = [...judged.map(({ subject }) => subject), ...loadSubjects(store).filter(isNotOf(judged))];
  const { freed, errors } = await reclaim(store, { condemned: judged.map(condemn), all, host: call.host });
  if (freed.length === judged.length) return { ...adding, former: [...adding.former, ...names] };
  throw error.withDetails([describeHeld(store, names, judged), ...errors.map(messageOf)].join('; '));
}

/** The same ones, looked at twice, are other objects. */
function isNotOf(judged: readonly Judged[]): (subject: Judged['subject']) => boolean {
  const keys = new Set(judged.map(({ subject }) => keyOf(subject)));
  return (subject) => !keys.has(keyOf(subject));
}

function keyOf({ read, leases }: Judged['subject']): string {
  return read === undefined ? `lease ${leases.map(({ name }) => name).join()}` : read.path;
}

function describeHeld(store: Store, names: readonly string[], judged: readonly Judged[]): string {
  if (judged.length > 0) return describeJudged(store, judged);
  return `${names.map((name) => `${store.leases}/${name}`).join(', ')} is something that is no lease`;
}

async function sweepFor(adding: Adding, error: RefusedError, set: RangeSet): Promise<Adding> {
  const { store, config, call } = adding;
  const { reclaim: isAllowed, minAgeMs } = config.recovery;
  if (!isAllowed) throw error.withDetails(describeFull(store, set, reclaimableIn(store, set, minAgeMs)));
  // Another ADD's sweep may have made room, before this one's or instead of it.
  if (usageIfFull(store, set) === undefined) return adding;
  const { wasMade, stuck } = await sweepWhenFull(store, { minAgeMs, host: call.host });
  if (wasMade || usageIfFull(store, set) === undefined) return adding;
  throw error.withDetails(describeFull(store, set, stuck));
}

export function describeFull(store: Store, set: RangeSet, reclaimable: number): string {
  return describeUsage(store, usageOf(set, leaseNames(store)), reclaimable);
}

/** How many of the set's leases are shown dead. */
export function reclaimableIn(store: Store, set: RangeSet, minAgeMs: number): number {
  const dead = judgeAll(store, observe(store, { minAgeMs })).filter(({ verdict }) => verdict === 'dead');
  return dead.flatMap(({ subject }) => subject.leases).filter(({ name }) => isOf(set, name)).length;
}
