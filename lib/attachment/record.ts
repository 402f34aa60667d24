/**
 * What is known of an attachment beyond its lease files, which stay byte for byte the reference's: one JSON file each,
 * in a folder of ours beside the network's. Why it can be trusted: ./liveness.ts; how it comes and goes:
 * ./record-handle.ts.
 *
 * No fsync, neither here nor for leases: both only mean something in the boot that wrote them. After a power cut every
 * record that survived names another boot, which is proof enough, and one that came back empty or torn counts as none;
 * a lease without a record has to be shown dead by everything that can be seen.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs';
import * as z from 'zod/mini';
import { hasErrno } from '../cni/errors.ts';
import { isObject } from '../cni/json.ts';
import { sha256Hex } from '../hash.ts';
import { LOCK_EX, tryFlock } from '../linux/libc.ts';
import { readSmallFile } from '../linux/small-file.ts';
import { parseCidr, parseIp } from '../net/ip.ts';
import type { SeenLease } from './lease-store.ts';
import type { Owner, Store } from './store.ts';
import { ifname, mac, tracesShape } from './traces.ts';

const MAX_BYTES = 64 * 1024;

/** A 64-bit number: JSON's own would lose digits. */
const digits = z.string().check(z.regex(/^-?\d{1,20}$/));
const isAddress = (text: string) => parseIp(text)?.text === text;

const leaseSchema = z.object({
  /** '' before it is known. */
  address: z.string().check(z.refine((text) => text === '' || isAddress(text))),
  inode: digits,
  mtimeNs: digits,
  /** '' before it is final: link(2) and unlink(2) of the draft change it. */
  ctimeNs: z.union([z.literal(''), digits]),
});

const recordSchema = z.object({
  version: z.literal(1),
  state: z.enum(['adding', 'added']),
  plugin: z.enum(['bridge', 'host-local']),
  network: z.string(),
  containerId: z.string().check(z.regex(/^[a-zA-Z0-9][\w.-]*$/)),
  ifname,
  leases: z.array(leaseSchema),
  /** All addresses of the interface, with prefix lengths, also those of another IPAM plugin. */
  addresses: z.array(z.string().check(z.refine((text) => parseCidr(text) !== undefined))),
  ...tracesShape,
  /** Of the container's end. */
  containerMac: z.optional(mac),
  /** Whether rules keep the container from spoofing MAC addresses. */
  spoofCheck: z.optional(z.boolean()),
  /** What its rules are written in; '' for none. */
  firewall: z.string(),
});

export type AttachmentRecord = z.output<typeof recordSchema>;
export type RecordedLease = z.output<typeof leaseSchema>;

export function recordedLease({ name, inode, mtimeNs, ctimeNs }: SeenLease): RecordedLease {
  return { address: name, inode, mtimeNs, ctimeNs };
}

/** A record as it was read: `inode` tells whether the file is still the same one. */
export interface ReadRecord {
  readonly record: AttachmentRecord;
  readonly path: string;
  readonly inode: bigint;
}

/** `damaged` is as good as none; `newer` was written by a later version of ours and is nobody's to judge here. */
export type RecordState = ReadRecord | 'none' | 'damaged' | 'newer';

const SUFFIX = '.json';

/** Names from outside become part of a path only as a hash. */
export function recordName({ containerId, ifname }: Owner): string {
  return `${sha256Hex(`${containerId}\n${ifname}`).slice(0, 40)}${SUFFIX}`;
}

export function isRecordName(name: string): boolean {
  return name.length === 40 + SUFFIX.length && name.endsWith(SUFFIX);
}

/** The record called `name` in `store`. */
export function readRecord(store: Store, name: string): RecordState {
  const path = `${store.drafts}/${name}`;
  try {
    const inode = lstatSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
    if (inode === undefined) return 'none';
    const parsed = parseRecord(readSmallFile(path, { maxBytes: MAX_BYTES, follow: false }) ?? '');
    if (typeof parsed === 'string') return parsed;
    const isOwn = parsed.network === store.network && recordName(parsed) === name;
    return isOwn ? { record: parsed, path, inode } : 'damaged';
  } catch (error) {
    return hasErrno(error, 'ENOENT', 'ENOTDIR') ? 'none' : 'damaged';
  }
}

/** Pure: the text of a record's file. */
export function parseRecord(text: string): AttachmentRecord | 'damaged' | 'newer' {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Cut short, or never ours.
    return 'damaged';
  }
  if (isObject(value) && typeof value.version === 'number' && value.version > 1) return 'newer';
  const parsed = z.safeParse(recordSchema, value);
  return parsed.success ? parsed.data : 'damaged';
}

/** `locked`: its ADD is at work; `free`: nobody is; `changed`: the path leads to another file by now. */
export type RecordLock = 'locked' | 'free' | 'changed';

/** Whether the ADD that writes the record still runs: it holds flock(2) on it to its end, however that comes. */
export function lockOf({ path, inode }: ReadRecord): RecordLock {
  let fd: number;
  try {
    // For writing: some network file systems refuse an exclusive lock otherwise.
    fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    // Where it cannot be opened nobody can tell: then it is at work.
    return hasErrno(error, 'ENOENT') ? 'changed' : 'locked';
  }
  try {
    if (fstatSync(fd, { bigint: true }).ino !== inode) return 'changed';
    if (!tryFlock(fd, LOCK_EX)) return 'locked';
    // It may have been finished, which is a rename, between opening and locking.
    return lstatSync(path, { bigint: true, throwIfNoEntry: false })?.ino === inode ? 'free' : 'changed';
  } finally {
    closeSync(fd);
  }
}
