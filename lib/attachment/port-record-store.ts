/**
 * One file per attachment with forwarded ports, written before the rules and removed after them. The ADD holds the
 * flock(2) of its file to its end (the kernel drops it with the process): until then nobody collects it.
 */
import { closeSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { CniError, code, hasErrno, messageOf } from '../cni/errors.ts';
import { sha256Hex } from '../hash.ts';
import type { ChainOwner } from '../iptables/chain-name.ts';
import { isLocked, openLockedDraft } from '../linux/locked-file.ts';
import { readSmallFile } from '../linux/small-file.ts';
import { type PortAttachment, type PortRecord, parseRecord, renderRecord } from './port-record.ts';

/** Outlives /run, like the leases. */
export const STATE_FOLDER = '/var/lib/cni/nodecni/portmap';

/** 65,535 mappings fit. */
const MAX_BYTES = 16 * 1024 * 1024;

const DRAFT = /\.json\.\d+\.\d+$/;

/** The attachment's record; `damaged` when there is one that cannot be used. */
export function readRecord(attachment: PortAttachment): PortRecord | 'damaged' | undefined {
  const read = readFile(fileOf(attachment));
  if (read === undefined || read === 'damaged') return read;
  return isOf(attachment)(read) && read.ifname === attachment.ifname ? read : 'damaged';
}

/** The records of the container's other interfaces on the same network. */
export function readSiblings(attachment: PortAttachment): PortRecord[] {
  return readRecords(attachment).filter((record) => record.ifname !== attachment.ifname);
}

/** The records of all of the container's interfaces on the network. */
export function readRecords(owner: ChainOwner): PortRecord[] {
  return filesOf(owner).map(readFile).filter(isUsable).filter(isOf(owner));
}

/** Names of the files of all records, damaged ones too. */
export function recordFileNames(): string[] {
  return listFolder().filter((name) => name.endsWith('.json'));
}

/** The record in the file called `name`. */
export function readRecordFile(name: string): PortRecord | 'damaged' | undefined {
  return readFile(`${STATE_FOLDER}/${name}`);
}

/** Names from outside become part of a path only as hashes. */
export function recordFileName(attachment: PortAttachment): string {
  return `${containerPart(attachment)}-${sha256Hex(attachment.ifname).slice(0, 16)}.json`;
}

/** Every usable record of this host. */
export function readAllRecords(): PortRecord[] {
  return recordFiles().map(readFile).filter(isUsable);
}

/** Puts the record in its place, locked. Returns what lets go of the lock. Throws code 5. */
export function writeRecord(record: PortRecord): () => void {
  const path = fileOf(record);
  try {
    createStateFolder();
    const { fd, draft } = openLockedDraft(path);
    try {
      writeFileSync(fd, renderRecord(record));
      renameSync(draft, path);
      return () => closeSync(fd);
    } catch (error) {
      rmSync(draft, { force: true });
      closeSync(fd);
      throw error;
    }
  } catch (error) {
    throw recordError('write', path, error);
  }
}

/** Missing is success. Throws code 5. */
export function removeRecord(attachment: PortAttachment): void {
  removeFile(fileOf(attachment));
}

/** True while portmap's ADD of one of the container's interfaces runs; nothing of it may be taken away then. */
export function isPortAddRunning(owner: ChainOwner): boolean {
  return filesOf(owner).some(isLocked);
}

/** The same for one interface. */
export function isRecordLocked(attachment: PortAttachment): boolean {
  return isLocked(fileOf(attachment));
}

/** Removes the records of all of the container's interfaces, damaged ones too, but for those that an ADD holds. */
export function removeOwnRecords(owner: ChainOwner): void {
  for (const path of filesOf(owner)) if (!isLocked(path)) removeFile(path);
}

/** Removes the usable records that `isGone` picks, but for those that an ADD holds. */
export function removeRecordsWhere(isGone: (record: PortRecord) => boolean): void {
  for (const path of recordFiles()) {
    const read = readFile(path);
    if (isUsable(read) && isGone(read) && !isLocked(path)) removeFile(path);
  }
}

/** Removes what writers left that were killed. */
export function removeDrafts(): void {
  const drafts = listFolder().filter((name) => DRAFT.test(name));
  for (const path of drafts.map((name) => `${STATE_FOLDER}/${name}`)) if (!isLocked(path)) removeFile(path);
}

/** Throws code 5. */
export function createStateFolder(): void {
  try {
    mkdirSync(STATE_FOLDER, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw recordError('write', STATE_FOLDER, error);
  }
}

function readFile(path: string): PortRecord | 'damaged' | undefined {
  try {
    return parseRecord(readSmallFile(path, { maxBytes: MAX_BYTES, follow: false }) ?? '');
  } catch (error) {
    return hasErrno(error, 'ENOENT', 'ENOTDIR') ? undefined : 'damaged';
  }
}

function isUsable(read: PortRecord | 'damaged' | undefined): read is PortRecord {
  return read !== undefined && read !== 'damaged';
}

function isOf({ network, containerId }: ChainOwner): (record: PortRecord) => boolean {
  return (record) => record.network === network && record.containerId === containerId;
}

function fileOf(attachment: PortAttachment): string {
  return `${STATE_FOLDER}/${recordFileName(attachment)}`;
}

function filesOf(owner: ChainOwner): string[] {
  const start = `${STATE_FOLDER}/${containerPart(owner)}-`;
  return recordFiles().filter((path) => path.startsWith(start));
}

function recordFiles(): string[] {
  return recordFileNames().map((name) => `${STATE_FOLDER}/${name}`);
}

function containerPart({ network, containerId }: ChainOwner): string {
  return sha256Hex(`${network}\n${containerId}`).slice(0, 40);
}

function listFolder(): string[] {
  try {
    return readdirSync(STATE_FOLDER);
  } catch {
    // Nothing was forwarded yet on this host.
    return [];
  }
}

function removeFile(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    throw recordError('remove', path, error);
  }
}

function recordError(action: string, path: string, cause: unknown): CniError {
  return new CniError(code.ioFailure, `cannot ${action} the port forwarding record "${path}": ${messageOf(cause)}`, {
    details: `the plugin keeps one small file per container with forwarded ports in ${STATE_FOLDER}`,
    cause,
  });
}
