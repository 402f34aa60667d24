/**
 * The state files: one for each interface, with the configuration that its delegate got. The container's first has the
 * container's ID as name, which is all that the original reads and writes; the others have `ID:INTERFACE`, since an ID
 * may hold every other separator. A first one that is not eth0 has both names (hard links): that tells whose it is.
 */
import {
  closeSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createFolder, type Owner } from '../../lib/attachment/store.ts';
import { hasErrno } from '../../lib/cni/errors.ts';
import { encodeCompact, isObject, type JsonObject } from '../../lib/cni/json.ts';
import type { ValidAttachment } from '../../lib/cni/valid-attachments.ts';
import { ioError } from '../../lib/linux/io-error.ts';
import { isLocked, openLockedDraft } from '../../lib/linux/locked-file.ts';
import { readSmallFile } from '../../lib/linux/small-file.ts';

/** 65,535 mapped ports in `runtimeConfig` fit. */
const MAX_BYTES = 16 * 1024 * 1024;

/** No container ID begins with a dot. */
const DRAFT = '.draft';

/** What every runtime calls a container's first interface. */
export const FIRST_IFNAME = 'eth0';

export interface StateOf extends Owner {
  /** Absolute path. */
  readonly dataDir: string;
  /** Asked when a file without an interface's name may be this one's: whether the container's eth0 may be another's. */
  readonly hasOtherFirst: () => boolean;
}

/** The delegate's configuration; `damaged` when there is a file that holds none. */
export function readState(state: StateOf): JsonObject | 'damaged' | undefined {
  const [path] = pathsHeld(state);
  return path === undefined ? undefined : readFile(path);
}

/**
 * Writes it whole, to the disk: after a power cut it is there or it is not. What is returned lets go of its lock, which
 * keeps GC off while the ADD is at work. Throws code 5.
 */
export function writeState(state: StateOf, config: JsonObject): () => void {
  const { dataDir } = state;
  createFolder(dataDir, 0o700);
  const { first, own } = pathsOf(state);
  const hasOwn = state.ifname !== FIRST_IFNAME || isNamedForAnother(state);
  const path = hasOwn ? own : first;
  try {
    const { fd, draft } = openLockedDraft(`${dataDir}/${DRAFT}`);
    try {
      writeFileSync(fd, encodeCompact(config));
      fsyncSync(fd);
      renameSync(draft, path);
      if (hasOwn) linkIfFree(own, first);
      syncFolder(dataDir);
      return () => closeSync(fd);
    } catch (error) {
      rmSync(draft, { force: true });
      closeSync(fd);
      throw error;
    }
  } catch (error) {
    throw ioError('write the state file', path, error);
  }
}

/** Missing is success. Throws code 5. */
export function removeState(state: StateOf): void {
  for (const path of pathsHeld(state)) removeFile(path);
}

export interface Dead {
  readonly dataDir: string;
  readonly network: string;
  readonly valid: readonly ValidAttachment[];
}

/**
 * Removes the network's files of attachments that are not valid, damaged ones, and what writers left that were killed.
 * Throws code 5.
 */
export function removeDead({ dataDir, network, valid }: Dead): void {
  const names = listNames(dataDir);
  for (const name of names) {
    const path = `${dataDir}/${name}`;
    if (isValid(name, valid) || isLocked(path) || !isOf(path, network)) continue;
    // The second name of a file goes with the first.
    const inode = lookAt(path)?.ino;
    const same = names.map((other) => `${dataDir}/${other}`).filter((other) => lookAt(other)?.ino === inode);
    for (const each of same) removeFile(each);
  }
}

interface Paths {
  readonly first: string;
  readonly own: string;
}

function pathsOf({ dataDir, containerId, ifname }: StateOf): Paths {
  const first = `${dataDir}/${containerId}`;
  return { first, own: `${first}:${ifname}` };
}

/** The names that the interface's state has, the one to read first. */
function pathsHeld(state: StateOf): string[] {
  const { first, own } = pathsOf(state);
  const ownStat = lookAt(own);
  const firstStat = lookAt(first);
  if (ownStat !== undefined) return firstStat?.ino === ownStat.ino ? [own, first] : [own];
  if (firstStat === undefined || isNamedForAnother(state)) return [];
  return state.ifname === FIRST_IFNAME || !state.hasOtherFirst() ? [first] : [];
}

/** Whether the container's first file is, by its second name, that of an interface; not eth0's, which has no second. */
function isNamedForAnother(state: StateOf): boolean {
  const { first } = pathsOf(state);
  const stat = lookAt(first);
  if (stat === undefined || stat.nlink < 2) return false;
  const names = listNames(state.dataDir).filter((name) => name.startsWith(`${state.containerId}:`));
  return names.some((name) => lookAt(`${state.dataDir}/${name}`)?.ino === stat.ino);
}

function linkIfFree(path: string, name: string): void {
  try {
    linkSync(path, name);
  } catch (error) {
    if (!hasErrno(error, 'EEXIST')) throw error;
  }
}

function isValid(name: string, valid: readonly ValidAttachment[]): boolean {
  const [id, ifname] = name.split(':');
  return valid.some((one) => one.containerID === id && (ifname === undefined || one.ifname === ifname));
}

/** What is no state at all, such as `subnet.env` in a folder that is used for both, is somebody else's. */
function isOf(path: string, network: string): boolean {
  const read = readFile(path);
  return isObject(read) ? read.name === network : read === 'damaged' && isTorn(path);
}

/** Empty, or the beginning of an object, or zeros: what a power cut leaves. */
function isTorn(path: string): boolean {
  if (lookAt(path)?.isFile() !== true) return false;
  return /^[{\0]?$/.test((readSmallFile(path, { maxBytes: MAX_BYTES, follow: false }) ?? '?').slice(0, 1));
}

function readFile(path: string): JsonObject | 'damaged' | undefined {
  try {
    const value: unknown = JSON.parse(readSmallFile(path, { maxBytes: MAX_BYTES, follow: false }) ?? '');
    return isObject(value) ? value : 'damaged';
  } catch (error) {
    return hasErrno(error, 'ENOENT') ? undefined : 'damaged';
  }
}

function removeFile(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    throw ioError('remove the state file', path, error);
  }
}

function listNames(dataDir: string): string[] {
  try {
    return readdirSync(dataDir);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw ioError('read the folder', dataDir, error);
  }
}

function lookAt(path: string) {
  return lstatSync(path, { throwIfNoEntry: false });
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
