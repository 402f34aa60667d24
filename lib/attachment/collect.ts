/** For whoever collects or shows attachments from outside an ADD: the GC verb, and the operator's tool. */
import { readdirSync } from 'node:fs';
import { hasErrno } from '../cni/errors.ts';
import type { ValidAttachment } from '../cni/valid-attachments.ts';
import { ioError } from '../linux/io-error.ts';
import type { Verdict } from './liveness.ts';
import { observe } from './observe.ts';
import type { Pod } from './pod.ts';
import { isPortAddRunning } from './port-record-store.ts';
import { addressesOf, type Condemned, reclaim } from './reclaim.ts';
import { type AttachmentRecord, lockOf } from './record.ts';
import { inProgress } from './record-handle.ts';
import { type Owner, type Store, type StoreLocation, storeAt } from './store.ts';
import type { Checkpoints } from './store-lock.ts';
import { isGarbage, judge, loadSubjects, type Subject } from './subject.ts';
import { condemn, type Judged, judgeAll, tidy } from './sweep.ts';

/** Age from which the attachments of other interface plugins may be found dead, where nothing else is configured. */
export const DEFAULT_MIN_AGE_MS = 600_000;

export interface Host extends Checkpoints {
  warn(message: string): void;
}

/** One attachment, for people and programs to read. */
export interface AttachmentRow extends Owner {
  readonly network: string;
  /** Without prefix lengths. */
  readonly addresses: readonly string[];
  readonly pod?: Pod;
  /** By the wall clock: a hint. */
  readonly ageMs: number;
  readonly verdict: Verdict;
  readonly why: string;
  /** Whose record; '' for a lease that has none. */
  readonly plugin: AttachmentRecord['plugin'] | '';
  readonly state: AttachmentRecord['state'] | '';
}

export interface Listing {
  readonly dataDir: string;
  /** All of the folder when absent. */
  readonly network?: string;
  readonly warn: (message: string) => void;
  readonly minAgeMs?: number;
}

/** What there is, by network and address; changes nothing, creates nothing. Throws code 5. */
export function listAttachments({ dataDir, network, warn, minAgeMs = DEFAULT_MIN_AGE_MS }: Listing): AttachmentRow[] {
  const networks = network === undefined ? networksIn(dataDir) : [network];
  return networks.flatMap((name) => {
    const store = storeAt({ dataDir, network: name }, warn);
    return judgeAll(store, observe(store, { minAgeMs })).map((judged) => rowOf(store, judged));
  });
}

function rowOf({ network }: Store, { subject, verdict, why }: Judged): AttachmentRow {
  const { containerId, ifname, read, leases } = subject;
  const { pod, plugin = '', state = '' } = read?.record ?? {};
  const timeMs = read?.record.timeMs ?? Number(leases[0]?.mtimeNs ?? 0) / 1e6;
  return {
    network,
    containerId,
    ifname,
    addresses: addressesOf(subject),
    ...(pod === undefined ? {} : { pod }),
    ageMs: Math.max(0, Date.now() - timeMs),
    verdict,
    why,
    plugin,
    state,
  };
}

function networksIn(dataDir: string): string[] {
  const names = [dataDir, `${dataDir}/.nodecni`].flatMap(foldersIn);
  return [...new Set(names)].filter((name) => /^[a-zA-Z0-9]/.test(name)).sort();
}

function foldersIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw ioError('read the folder', path, error);
  }
}

export interface Collecting extends StoreLocation {
  readonly dryRun: boolean;
  readonly host: Host;
  readonly minAgeMs?: number;
  /** Told before the slow part, with how many are to be freed. */
  readonly onProgress?: (count: number) => void;
}

export interface Collected {
  /** With `dryRun`: those that would be. */
  readonly freed: readonly AttachmentRow[];
  readonly kept: readonly AttachmentRow[];
  /** What kept some that are dead. */
  readonly errors: readonly unknown[];
}

/** Frees what is shown dead, without anybody's list. Throws code 5 and 105. */
export async function collect(collecting: Collecting): Promise<Collected> {
  const { dryRun, host, minAgeMs = DEFAULT_MIN_AGE_MS } = collecting;
  const store = storeAt(collecting, host.warn);
  const judged = judgeAll(store, observe(store, { minAgeMs }));
  const dead = judged.filter(({ verdict }) => verdict === 'dead');
  collecting.onProgress?.(dead.length);
  const all = judged.map(({ subject }) => subject);
  const done = dryRun ? undefined : await reclaim(store, { condemned: dead.map(condemn), all, host });
  if (!dryRun) await tidy(store, host);
  const gone = new Set(
    done === undefined ? dead.map(({ subject }) => subject) : done.freed.map(({ subject }) => subject),
  );
  const rows = (list: readonly Judged[]) => list.map((one) => rowOf(store, one));
  return {
    freed: rows(judged.filter(({ subject }) => gone.has(subject))),
    kept: rows(judged.filter(({ subject }) => !gone.has(subject))),
    errors: done?.errors ?? [],
  };
}

export interface Releasing extends StoreLocation {
  readonly containerId: string;
  /** All interfaces when absent. */
  readonly ifname?: string;
  readonly host: Host;
  /** For the log: who said so. */
  readonly why: string;
}

/**
 * Frees what one container has on the network, dead or not: link, rules, leases, record. The rows of what is gone; none
 * when nothing is known of it. Throws code 11 while its ADD is at work, and whatever kept a part of it.
 */
export async function releaseAttachment(
  releasing: Releasing,
): Promise<{ freed: AttachmentRow[]; errors: readonly unknown[] }> {
  const { host, containerId, ifname, why } = releasing;
  const store = storeAt(releasing, host.warn);
  const all = loadSubjects(store);
  // A lease in the format of old versions is of any of the container's interfaces.
  const own = all.filter(
    (subject) => subject.containerId === containerId && (ifname === undefined || ['', ifname].includes(subject.ifname)),
  );
  const busy = own.find((subject) => isAtWork(store, subject));
  if (busy !== undefined) throw inProgress(store, busy);
  const condemned = own.map((subject): Condemned => ({ subject, why, isProof: false }));
  const { freed, errors } = await reclaim(store, { condemned, all, host });
  const rows = freed.map(({ subject }) => rowOf(store, { subject, verdict: 'unknown', why }));
  return { freed: rows, errors };
}

/** Also while portmap, which comes after the record is finished, forwards its ports. */
function isAtWork({ network }: Store, { read, containerId }: Subject): boolean {
  if (read?.record.state === 'adding' && lockOf(read) === 'locked') return true;
  return containerId !== '' && isPortAddRunning({ network, containerId });
}

export interface Invalid {
  readonly valid: readonly ValidAttachment[];
  readonly host: Checkpoints;
  /** Only what has a record of this plugin; everything when absent. */
  readonly plugin?: AttachmentRecord['plugin'];
}

/**
 * The GC verb's part: frees what the runtime does not list, but for ADDs at work and records of a later version. Goes on
 * past failures and returns them all. Throws code 5 and 105.
 */
export async function collectInvalid(store: Store, { valid, host, plugin }: Invalid): Promise<readonly unknown[]> {
  const all = loadSubjects(store);
  const observed = observe(store, { minAgeMs: DEFAULT_MIN_AGE_MS });
  // The damaged lease of one that lives is not to be freed.
  const isNobodys = (subject: Subject) => judge(subject, observed, all).verdict === 'dead';
  const condemned = all
    .filter((subject) => !subject.isNewer && !isAtWork(store, subject))
    .filter((subject) => (isGarbage(subject) ? isNobodys(subject) : !isListed(subject, valid)))
    .filter(({ read }) => plugin === undefined || read?.record.plugin === plugin)
    .map(
      (subject): Condemned => ({
        subject,
        why: isGarbage(subject) ? 'it is damaged' : 'the runtime does not list it',
        isProof: false,
      }),
    );
  const { errors } = await reclaim(store, { condemned, all, host });
  await tidy(store, host);
  return errors;
}

/** A lease in the format of old versions is of any of the container's interfaces. */
function isListed({ containerId, ifname }: Subject, valid: readonly ValidAttachment[]): boolean {
  return valid.some((one) => one.containerID === containerId && (ifname === '' || one.ifname === ifname));
}
