/** Where a network's leases and records are, and whose they are. */
import { lstatSync, mkdirSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import * as z from 'zod/mini';
import { hasErrno } from '../cni/errors.ts';
import { decode } from '../cni/json.ts';
import { ioError } from '../linux/io-error.ts';

export const DEFAULT_DATA_DIR = '/var/lib/cni/networks';

export interface StoreLocation {
  /** Absolute path. */
  readonly dataDir: string;
  readonly network: string;
}

export interface Store extends StoreLocation {
  /** The network's folder: leases, `lock` and `last_reserved_ip.N`. The reference reads every file in it. */
  readonly leases: string;
  /** Same file system as a rule, but outside that folder; a network cannot be called so. Drafts, records, the index. */
  readonly drafts: string;
  readonly warn: (message: string) => void;
}

/** One interface of one container. */
export interface Owner {
  readonly containerId: string;
  readonly ifname: string;
}

/** A path in a configuration: absolute, or '' for none. */
export const absolutePath = z.prefault(
  z.string().check(z.refine((text) => text === '' || /^\/[^\0]*$/.test(text), 'must be an absolute path')),
  '',
);

const locationSchema = z.object({ ipam: z.optional(z.object({ dataDir: absolutePath })) });

/** `undefined` without an `ipam` object. Throws code 7. */
export function locationOf(config: { readonly name: string; readonly raw: unknown }): StoreLocation | undefined {
  const { ipam } = decode(locationSchema, config.raw, 'network configuration');
  if (ipam === undefined) return undefined;
  return { dataDir: ipam.dataDir === '' ? DEFAULT_DATA_DIR : ipam.dataDir, network: config.name };
}

export function storeAt({ dataDir, network }: StoreLocation, warn: Store['warn']): Store {
  const leases = posix.join(dataDir, network);
  return { dataDir, network, leases, drafts: posix.join(dataDir, '.nodecni', network), warn };
}

/** Creates the folders of the store. Throws code 5. */
export function createStore(store: Store): void {
  createFolder(store.leases, 0o755);
  createRecordFolder(store);
}

/** Only the part that records need: under an IPAM plugin of others there may be no leases. Throws code 5. */
export function createRecordFolder(store: Store): void {
  createFolder(store.drafts, 0o700);
}

/** With the folders above it, which get the same mode. Throws code 5. */
export function createFolder(folder: string, mode: number): void {
  try {
    // Looking first is cheaper than mkdir's exception.
    if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) return;
    makeFolders(folder, mode);
  } catch (error) {
    throw ioError('create the folder', folder, error);
  }
}

/** One by one: mkdirSync's own recursion says ENOENT where the file system is read-only. */
function makeFolders(folder: string, mode: number): void {
  try {
    mkdirSync(folder, { mode });
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) {
      makeFolders(posix.dirname(folder), mode);
      makeFolders(folder, mode);
    } else if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
      throw error;
    }
  }
}

/** False when the network has no folder, and therefore no leases. Throws code 5. */
export function storeExists(store: Store): boolean {
  try {
    return statSync(store.leases, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch (error) {
    if (hasErrno(error, 'ENOTDIR')) return false;
    throw ioError('look at the folder', store.leases, error);
  }
}
