/** Looking for the dead of a whole network: once after a boot or a change of its ranges, and when a range is full. */
import * as z from 'zod/mini';
import { messageOf } from '../cni/errors.ts';
import { sha256Hex } from '../hash.ts';
import { bootId, sinceBootMs } from '../linux/boot.ts';
import { readSmallFile } from '../linux/small-file.ts';
import { sweepDrafts } from './draft.ts';
import type { Judgement, Observed } from './liveness.ts';
import { observe } from './observe.ts';
import { silentAddresses } from './probe.ts';
import { type Condemned, type Reclaimed, reclaim } from './reclaim.ts';
import { RUN_FOLDER, writeHint } from './run-folder.ts';
import { type Store, storeExists } from './store.ts';
import { type Checkpoints, withStoreLock } from './store-lock.ts';
import { isGarbage, judge, loadHolders, loadSubjects, type Subject, sweepRecordDrafts } from './subject.ts';

export interface Judged extends Judgement {
  readonly subject: Subject;
}

/** Everything in `store` with its verdict. Throws code 5. */
export function judgeAll(store: Store, observed: Observed): Judged[] {
  const all = loadSubjects(store);
  return judgeThose(all, observed, all);
}

/** `subjects` of `all` with their verdicts. */
export function judgeThose(subjects: readonly Subject[], observed: Observed, all: readonly Subject[]): Judged[] {
  return askOnTheWire(subjects.map((subject) => ({ subject, ...judge(subject, observed, all) })));
}

/** The holders of the leases called `names`, with their verdicts. */
export function judgeHolders(store: Store, names: readonly string[], observed: Observed): Judged[] {
  return judgeThose(loadHolders(store, names), observed, []);
}

/** A foreign lease is dead only when nobody answers for its address: asked for all at once, last of all. */
function askOnTheWire(judged: readonly Judged[]): Judged[] {
  const isAsked = ({ subject, verdict }: Judged) =>
    verdict === 'dead' && subject.read === undefined && !isGarbage(subject);
  const names = judged.filter(isAsked).flatMap(({ subject }) => subject.leases.map(({ name }) => name));
  if (names.length === 0) return [...judged];
  const silent = askOrNone(names);
  return judged.map((one): Judged => {
    if (!isAsked(one) || one.subject.leases.every(({ name }) => silent.has(name))) return one;
    return { subject: one.subject, verdict: 'unknown', why: 'its address answers, or could not be asked for yet' };
  });
}

function askOrNone(names: readonly string[]): ReadonlySet<string> {
  try {
    return silentAddresses(names);
  } catch {
    // Without ip nobody can be asked, and nobody is shown to be silent.
    return new Set();
  }
}

export interface Sweeping {
  readonly minAgeMs: number;
  readonly host: Checkpoints;
}

/** Frees what is shown dead. What could not be freed is warned of. Throws code 5 and 105. */
export async function sweep(store: Store, { minAgeMs, host }: Sweeping): Promise<Reclaimed> {
  const judged = judgeAll(store, observe(store, { minAgeMs }));
  const condemned = judged.filter(({ verdict }) => verdict === 'dead').map(condemn);
  const reclaimed = await reclaim(store, { condemned, all: judged.map(({ subject }) => subject), host });
  for (const error of reclaimed.errors) store.warn(`${store.network}: cannot reclaim: ${messageOf(error)}`);
  await tidy(store, host);
  return reclaimed;
}

export function condemn({ subject, why }: Judged): Condemned {
  return { subject, why, isProof: true };
}

/** Takes away what killed calls left half-written. */
export async function tidy(store: Store, host: Checkpoints): Promise<void> {
  if (storeExists(store)) await withStoreLock(store, host, async () => sweepDrafts(store));
  sweepRecordDrafts(store);
}

/** A range that is full stays so for a while: looking again at once would only cost. */
const FRUITLESS_MS = 5000;
const MAX_STAMP_BYTES = 256;

const stampSchema = z.object({
  bootId: z.string(),
  atMs: z.number(),
  isFruitless: z.boolean(),
  stuck: z.number(),
  ranges: z.string(),
});

/**
 * The first sweep of this boot, and what it freed; later ones do nothing while `ranges` (any short text) stays: leases
 * outside of changed ranges would stay for ever, since such a range is never full. Costs the reading of one small file.
 */
export async function sweepAfterChange(
  store: Store,
  { ranges, ...sweeping }: Sweeping & { readonly ranges: string },
): Promise<readonly Condemned[]> {
  const stamp = readStamp(store);
  if (stamp?.bootId === bootId() && stamp.ranges === ranges) return [];
  const { freed } = await sweep(store, sweeping);
  // Whatever it found: a range that turns out to be full may look again at once.
  writeStamp(store, { isFruitless: false, stuck: 0, ranges });
  return freed;
}

export interface Room {
  readonly wasMade: boolean;
  /** How many are shown dead and could not be freed. */
  readonly stuck: number;
}

/** The sweep of a full range, unless it was tried in vain just now. */
export async function sweepWhenFull(store: Store, sweeping: Sweeping): Promise<Room> {
  const stamp = readStamp(store);
  const agoMs = sinceBootMs() - (stamp?.atMs ?? 0);
  const isRecent = stamp?.bootId === bootId() && agoMs >= 0 && agoMs < FRUITLESS_MS;
  if (stamp?.isFruitless === true && isRecent) return { wasMade: false, stuck: stamp.stuck };
  const { freed, errors } = await sweep(store, sweeping);
  const room = { wasMade: freed.length > 0, stuck: errors.length };
  writeStamp(store, { isFruitless: !room.wasMade, stuck: room.stuck, ranges: stamp?.ranges ?? '' });
  return room;
}

function readStamp(store: Store): z.output<typeof stampSchema> | undefined {
  try {
    const text = readSmallFile(stampPath(store), { maxBytes: MAX_STAMP_BYTES, follow: false });
    return parseStamp(text ?? '');
  } catch {
    // None yet in this boot, or damaged.
    return undefined;
  }
}

/** Throws where the text is no JSON. */
export function parseStamp(text: string): z.output<typeof stampSchema> | undefined {
  const parsed = z.safeParse(stampSchema, JSON.parse(text));
  return parsed.success ? parsed.data : undefined;
}

function writeStamp(store: Store, found: Omit<z.output<typeof stampSchema>, 'bootId' | 'atMs'>): void {
  writeHint(stampPath(store), JSON.stringify({ bootId: bootId(), atMs: sinceBootMs(), ...found }));
}

function stampPath({ dataDir, network }: Store): string {
  return `${RUN_FOLDER}/${sha256Hex(`${dataDir}\n${network}`).slice(0, 40)}`;
}
