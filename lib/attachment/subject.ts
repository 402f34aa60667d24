/** Records and lease files of a network, joined: the attachments that it has, and what each one holds. */
import { readdirSync, rmSync } from 'node:fs';
import { hasErrno } from '../cni/errors.ts';
import { ioError } from '../linux/io-error.ts';
import { leaseNames, type SeenLease, seeLease } from './lease-store.ts';
import { type Judgement, judgeLease, judgeRecord, type Observed } from './liveness.ts';
import { visibleNamespaces } from './namespaces.ts';
import { isRecordName, lockOf, type ReadRecord, type RecordedLease, readRecord, recordName } from './record.ts';
import { writerOf } from './record-handle.ts';
import type { Owner, Store } from './store.ts';

/** One attachment: its record and the leases that are still the recorded ones, or one lease that has no record. */
export interface Subject extends Owner {
  readonly read: ReadRecord | undefined;
  readonly leases: readonly SeenLease[];
  /** Written by a later version of ours: nobody's to judge here. */
  readonly isNewer: boolean;
  /** One of the recorded leases is there, but was damaged after it was written. */
  readonly isDamaged: boolean;
}

/** Everything in `store`. A lease that is garbage belongs to a subject without container. Throws code 5. */
export function loadSubjects(store: Store): Subject[] {
  const leases = seeLeases(store);
  const reads = recordNames(store)
    .map((name) => readRecord(store, name))
    .filter(isRead);
  return join(store, leases, reads);
}

/** What holds the leases called `names`. */
export function loadHolders(store: Store, names: readonly string[]): Subject[] {
  const leases = names.flatMap((name) => seeLease(store, name) ?? []);
  const records = new Set(leases.flatMap(({ owner }) => (owner === undefined ? [] : recordName(owner))));
  const reads = [...records].map((name) => readRecord(store, name)).filter(isRead);
  return join(store, leases, reads).filter((subject) => subject.leases.length > 0);
}

function isRead(state: ReturnType<typeof readRecord>): state is ReadRecord {
  return typeof state !== 'string';
}

function join(store: Store, leases: readonly SeenLease[], reads: readonly ReadRecord[]): Subject[] {
  const taken = new Set<SeenLease>();
  const byInode = new Map(leases.map((lease) => [lease.inode, lease]));
  const garbage = new Set(leases.filter(({ owner }) => owner === undefined).map(({ name }) => name));
  const recorded = reads.map((read): Subject => {
    const { containerId, ifname } = read.record;
    const own = read.record.leases.flatMap((lease) => matching(byInode.get(lease.inode), lease, read) ?? []);
    for (const lease of own) taken.add(lease);
    const isDamaged = read.record.leases.some(({ address }) => garbage.has(address));
    return { containerId, ifname, read, leases: own, isNewer: false, isDamaged };
  });
  const foreign = leases.filter((lease) => !taken.has(lease)).map((lease): Subject => foreignSubject(store, lease));
  return [...recorded, ...foreign];
}

/**
 * Only while content and inode are the recorded ones, and the time of change, or of writing where that was not final
 * yet: else somebody released the address and gave it again in between.
 */
function matching(seen: SeenLease | undefined, lease: RecordedLease, { record }: ReadRecord): SeenLease | undefined {
  if (seen?.owner?.containerId !== record.containerId || seen.owner.ifname !== record.ifname) return undefined;
  const same = record.state === 'added' ? seen.ctimeNs === lease.ctimeNs : seen.mtimeNs === lease.mtimeNs;
  return same ? seen : undefined;
}

function foreignSubject(store: Store, lease: SeenLease): Subject {
  const { containerId = '', ifname = '' } = lease.owner ?? {};
  const isNewer = lease.owner !== undefined && readRecord(store, recordName(lease.owner)) === 'newer';
  return { containerId, ifname, read: undefined, leases: [lease], isNewer, isDamaged: false };
}

function seeLeases(store: Store): SeenLease[] {
  try {
    return leaseNames(store).flatMap((name) => seeLease(store, name) ?? []);
  } catch (error) {
    if (error instanceof Error && hasErrno(error.cause, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

function recordNames(store: Store): string[] {
  return listRecords(store).filter(isRecordName);
}

function listRecords({ drafts }: Store): string[] {
  try {
    return readdirSync(drafts);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw ioError('read the folder', drafts, error);
  }
}

/** Removes records that were never given their name, by writers that are gone. */
export function sweepRecordDrafts(store: Store): void {
  for (const name of listRecords(store)) {
    const pid = writerOf(name);
    if (pid !== undefined && !isRunning(pid)) rmSync(`${store.drafts}/${name}`, { force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !hasErrno(error, 'ESRCH');
  }
}

/** Garbage is nobody's, whoever wrote it: under the lease lock no writer is at work. */
export function isGarbage({ leases }: Subject): boolean {
  return leases.length === 1 && leases[0]?.owner === undefined;
}

/** Throws nothing. Whether a foreign lease that is found dead also keeps silent is asked in ./sweep.ts. */
export function judge(subject: Subject, observed: Observed, all: readonly Subject[]): Judgement {
  const { read, leases, isNewer, isDamaged } = subject;
  if (isNewer) return { verdict: 'unknown', why: 'its record is of a newer version' };
  if (read !== undefined) {
    const holdsLease = leases.length > 0 || read.record.leases.length === 0 || isDamaged;
    const lock = read.record.state === 'adding' ? lockOf(read) : 'free';
    return judgeRecord(read.record, observed, { lock, holdsLease });
  }
  const [lease] = leases;
  if (lease === undefined) return { verdict: 'unknown', why: 'nothing is known of it' };
  if (lease.owner === undefined) return judgeGarbage(lease, observed, all);
  return judgeLease({ ...lease.owner, address: lease.name, mtimeMs: Number(lease.mtimeNs) / 1e6 }, observed);
}

/** For an empty lease in an ADD's way: no record names its address and no namespace has it. Reads every record. */
export function isUnclaimed(store: Store, name: string): boolean {
  const reads = recordNames(store)
    .map((record) => readRecord(store, record))
    .filter(isRead);
  if (reads.some(({ record }) => record.leases.some(({ address }) => address === name))) return false;
  return visibleNamespaces()?.addresses.has(name) !== true;
}

/** A lease that was damaged after it was written: who lives keeps the address even so. */
function judgeGarbage(lease: SeenLease, observed: Observed, all: readonly Subject[]): Judgement {
  const names = ({ read }: Subject) => read?.record.leases.some(({ address }) => address === lease.name) === true;
  if (all.some((other) => names(other) && judge(other, observed, []).verdict !== 'dead')) {
    return { verdict: 'unknown', why: 'it is damaged, but a record names its address' };
  }
  if (observed.namespaces()?.addresses.has(lease.name) === true) {
    return { verdict: 'alive', why: 'it is damaged, but a namespace of this host has its address' };
  }
  return { verdict: 'dead', why: 'an empty or damaged lease belongs to nobody' };
}
