/**
 * The record of the attachment that this ADD makes. It is there as `adding` before anything else is, and flock(2) on it
 * is held to the end of the call: unfinished and unlocked means that its writer is dead, since the kernel releases the
 * lock whatever ends the process. The descriptor is close-on-exec, so no daemon keeps it; but tools like `ip` get it, as
 * one that a kill leaves alone may be about to make the link that a sweep looks for. Finished, it is renamed over.
 */
import { closeSync, linkSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { CniError, code, hasErrno } from '../cni/errors.ts';
import { shareWithChildren } from '../exec.ts';
import { noteWork } from '../journal/observer.ts';
import { sinceBootMs } from '../linux/boot.ts';
import { ioError } from '../linux/io-error.ts';
import { LOCK_EX, tryFlock } from '../linux/libc.ts';
import { randomHex } from '../linux/random.ts';
import type { Draft } from './draft.ts';
import { type AttachmentRecord, lockOf, type RecordedLease, readRecord, recordName } from './record.ts';
import { createRecordFolder, type Owner, type Store } from './store.ts';
import type { Checkpoints } from './store-lock.ts';
import { leaveTraces, type Traced } from './traces.ts';

/** What is learned on the way. */
export type Notes = Partial<
  Pick<AttachmentRecord, 'leases' | 'addresses' | 'hostLink' | 'containerMac' | 'spoofCheck'>
>;

export interface RecordHandle {
  /** False until begin(). */
  readonly isOpen: boolean;
  /** Addresses that the attachment had before it died, to be given again. */
  readonly former: readonly string[];
  /**
   * Writes the record as `adding`, with the leases that are about to appear. Throws code 11 while another ADD of the
   * attachment runs, 101 for a record of a newer version, 5.
   */
  begin(drafts: readonly Draft[]): void;
  /** Writes down what is known by now. Throws code 5. */
  note(notes: Notes): void;
  /** The attachment is complete. Throws code 5. */
  finish(): void;
  /** The attachment is undone: removes the record, if it is this call's. Throws code 5. */
  abandon(): void;
}

export interface Attaching extends Owner, Traced {
  readonly plugin: AttachmentRecord['plugin'];
  readonly firewall: string;
  readonly former?: readonly string[];
}

export function recordHandle(store: Store, attaching: Attaching): RecordHandle {
  return new Handle(store, attaching);
}

class Handle implements RecordHandle {
  readonly #store: Store;
  readonly #attaching: Attaching;
  readonly #path: string;
  #fd: number | undefined;
  #unshare: () => void = () => {};
  #isOurs = false;
  #record: AttachmentRecord | undefined;
  #size = 0;

  constructor(store: Store, attaching: Attaching) {
    this.#store = store;
    this.#attaching = attaching;
    this.#path = `${store.drafts}/${recordName(attaching)}`;
  }

  get isOpen(): boolean {
    return this.#record !== undefined;
  }

  get former(): readonly string[] {
    return this.#attaching.former ?? [];
  }

  begin(drafts: readonly Draft[]): void {
    createRecordFolder(this.#store);
    refuseToReplace(this.#store, this.#attaching);
    const leases = drafts.map(({ inode, mtimeNs }): RecordedLease => ({ address: '', inode, mtimeNs, ctimeNs: '' }));
    this.#record = makeRecord(this.#store, this.#attaching, leases);
    this.#guarded(() => this.#place());
  }

  note(notes: Notes): void {
    if (this.#record === undefined) return;
    this.#record = { ...this.#record, ...notes };
    this.#guarded(() => this.#write());
  }

  finish(): void {
    if (this.#record === undefined) return;
    const record: AttachmentRecord = { ...this.#record, state: 'added' };
    const draft = temporaryPath(this.#store);
    this.#guarded(() => {
      try {
        const fd = openSync(draft, 'wx', 0o600);
        try {
          writeSync(fd, JSON.stringify(record));
        } finally {
          closeSync(fd);
        }
        renameSync(draft, this.#path);
      } catch (error) {
        rmSync(draft, { force: true });
        throw error;
      }
    });
    this.#close();
  }

  abandon(): void {
    if (this.#isOurs) this.#guarded(() => rmSync(this.#path, { force: true }));
    this.#isOurs = false;
    this.#record = undefined;
    this.#close();
  }

  /** Locked before it has its name: nobody ever sees it unfinished and unlocked. */
  #place(): void {
    const draft = temporaryPath(this.#store);
    this.#fd = openSync(draft, 'wx+', 0o600);
    try {
      tryFlock(this.#fd, LOCK_EX);
      this.#unshare = shareWithChildren(this.#fd);
      this.#write();
      placeAt(draft, this.#path);
      this.#isOurs = true;
    } catch (error) {
      rmSync(draft, { force: true });
      this.#close();
      this.#record = undefined;
      throw error;
    }
  }

  /** In place, since the lock is on this very file; at once, and never shorter than before, so that no kill tears it. */
  #write(): void {
    if (this.#fd === undefined) return;
    const text = JSON.stringify(this.#record).padEnd(this.#size);
    this.#size = Buffer.byteLength(text);
    if (writeSync(this.#fd, text, 0) !== this.#size) throw new Error('not all of it could be written');
  }

  #close(): void {
    if (this.#fd === undefined) return;
    this.#unshare();
    closeSync(this.#fd);
    this.#fd = undefined;
  }

  #guarded(action: () => void): void {
    try {
      action();
    } catch (error) {
      throw ioError('write the record of the attachment', this.#path, error);
    }
  }
}

function makeRecord(store: Store, attaching: Attaching, leases: RecordedLease[]): AttachmentRecord {
  return {
    version: 1,
    state: 'adding',
    plugin: attaching.plugin,
    network: store.network,
    containerId: attaching.containerId,
    ifname: attaching.ifname,
    leases,
    addresses: [],
    firewall: attaching.firewall,
    ...leaveTraces(attaching),
  };
}

/** A finished record may be replaced: whether its lease forbids the ADD was decided before. */
function refuseToReplace(store: Store, owner: Owner): void {
  const former = readRecord(store, recordName(owner));
  if (former === 'newer') {
    throw new CniError(
      code.conflict,
      `cannot attach ${owner.containerId} ${owner.ifname}: its record is of a newer version`,
      {
        details: `${store.drafts}/${recordName(owner)} was written by a later nodecni: go back to that one, or DEL with it`,
      },
    );
  }
  refuseWhileAdding(store, owner);
}

/** Code 11: another ADD of the same attachment holds its record. */
export function inProgress(store: Store, { containerId, ifname }: Owner): CniError {
  return new CniError(code.tryAgainLater, `an ADD of ${containerId} ${ifname} is still at work`, {
    details: `it holds the lock of ${store.drafts}/${recordName({ containerId, ifname })}; try again when it has ended`,
  });
}

/** Exclusive where nothing is; over a record that may be replaced, and over anything damaged. */
function placeAt(draft: string, path: string): void {
  try {
    linkSync(draft, path);
    rmSync(draft);
    return;
  } catch (error) {
    if (!hasErrno(error, 'EEXIST')) throw error;
  }
  try {
    renameSync(draft, path);
  } catch (error) {
    if (!hasErrno(error, 'EISDIR', 'ENOTEMPTY', 'EEXIST')) throw error;
    // A folder in our own, by a hash's name: damage that must not keep this container from its network.
    rmSync(path, { recursive: true, force: true });
    renameSync(draft, path);
  }
}

const TEMPORARY = 'record-';

function temporaryPath({ drafts }: Store): string {
  return `${drafts}/${TEMPORARY}${process.pid}-${randomHex(8)}`;
}

/** The process that writes a record under a temporary name; `undefined` for other names. */
export function writerOf(name: string): number | undefined {
  const pid = new RegExp(`^${TEMPORARY}(\\d+)-[0-9a-f]{16}$`).exec(name)?.[1];
  return pid === undefined ? undefined : Number(pid);
}

/** Throws code 11 while an ADD of `owner` is at work. */
function refuseWhileAdding(store: Store, owner: Owner): void {
  if (isAdding(store, owner)) throw inProgress(store, owner);
}

function isAdding(store: Store, owner: Owner): boolean {
  const read = readRecord(store, recordName(owner));
  return typeof read !== 'string' && read.record.state === 'adding' && lockOf(read) === 'locked';
}

/** How long a call waits for an ADD that its runtime gave up: what a kill left of it ends within milliseconds. */
const WAIT_MS = 5000;
const PAUSE_MS = 10;

/** The same, after some patience. Throws code 11 and 105. */
export async function waitWhileAdding(store: Store, owner: Owner, host: Checkpoints): Promise<void> {
  if (!isAdding(store, owner)) return;
  noteWork('wait for an earlier ADD of the attachment');
  const deadlineMs = sinceBootMs() + WAIT_MS;
  while (isAdding(store, owner)) {
    if (sinceBootMs() > deadlineMs) throw inProgress(store, owner);
    await host.checkpoint();
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** Removes what is recorded of `owner`; nothing is success. Throws code 5. */
export function removeRecordOf(store: Store, owner: Owner): void {
  const path = `${store.drafts}/${recordName(owner)}`;
  try {
    // Where a record would be, a folder is damage like any other.
    rmSync(path, { recursive: true, force: true });
  } catch (error) {
    throw ioError('remove the record of the attachment', path, error);
  }
}
