/**
 * Taking back what a dead attachment held. Rules go before the address can be given again, or the next pod would inherit
 * the dead one's host ports. Children run without the lease lock; under it, the files have to be the ones that were
 * judged, and what can be seen without a child has to say the same.
 */
import { rmSync } from 'node:fs';
import { findTool } from '../exec.ts';
import { settleLocalnet } from '../firewall/localnet.ts';
import { removeRulesOf } from '../firewall/owned.ts';
import { bootId } from '../linux/boot.ts';
import { ioError } from '../linux/io-error.ts';
import { linkNames } from '../linux/links.ts';
import { cookieAt, ownCookie } from '../linux/netns.ts';
import { parseCidr, parseIp } from '../net/ip.ts';
import { removeSpoofChecks } from '../nft/mac-spoof.ts';
import { deleteHostLink } from './host-link.ts';
import { isSeen, markSeen } from './index.ts';
import { isUnchanged, release } from './lease-store.ts';
import { localnetUsers, readRegistry } from './port-registry.ts';
import { lockOf, type ReadRecord, readRecord, recordName } from './record.ts';
import { inProgress } from './record-handle.ts';
import { type Store, storeExists } from './store.ts';
import { type Checkpoints, withStoreLock } from './store-lock.ts';
import { isGarbage, type Subject } from './subject.ts';

/** A subject that has to go. */
export interface Condemned {
  readonly subject: Subject;
  /** For the log: by what it is known to be dead, or who said so. */
  readonly why: string;
  /** False when somebody who knows said so (a runtime by GC, an operator): then it goes even if it is there. */
  readonly isProof: boolean;
}

export interface Reclaiming {
  readonly condemned: readonly Condemned[];
  /** Everything that the network has: whose container keeps another interface keeps the container's chains. */
  readonly all: readonly Subject[];
  readonly host: Checkpoints;
}

export interface Reclaimed {
  readonly freed: readonly Condemned[];
  /** What kept the rest. */
  readonly errors: readonly unknown[];
}

/** Frees all that can be, with one line in the log for each. Never while holding a lock: it takes one, and has children. */
export async function reclaim(store: Store, { condemned, all, host }: Reclaiming): Promise<Reclaimed> {
  const errors: unknown[] = [];
  const attempt = <T>(action: () => T): T | undefined => {
    try {
      return action();
    } catch (error) {
      errors.push(error);
      return undefined;
    }
  };
  const linkless = condemned.filter(({ subject }) => attempt(() => deleteLinkOf(subject)) === true);
  attempt(() => removeSpoofChecks(linkless.map(({ subject }) => subject).filter(hasSpoofCheck)));
  await host.checkpoint();
  const localnet = localnetUsers(readRegistry());
  if (attempt(() => removeRules(store, linkless, all)) !== true) return { freed: [], errors };
  await settleLocalnet(localnet, host).catch((error: unknown) => errors.push(error));
  const freed = await underLock(store, host, () => linkless.filter((one) => attempt(() => free(store, one)) === true));
  for (const one of freed) store.warn(describe(store, one));
  return { freed, errors };
}

/** Where the pair still is, as after a crash or for an operator. In another namespace than ours there is none to delete. */
function deleteLinkOf({ read }: Subject): boolean {
  if (read?.record.hostLink !== undefined && isHere(read)) deleteHostLink(read.record.hostLink);
  return true;
}

function isHere({ record }: ReadRecord): boolean {
  return record.hostNetns === ownCookie() && record.bootId === bootId();
}

/** Their port is gone: what stays of them harms nobody. */
function hasSpoofCheck({ read }: Subject): boolean {
  return read?.record.spoofCheck === true && isHere(read) && findTool('nft') !== undefined;
}

function removeRules(store: Store, condemned: readonly Condemned[], all: readonly Subject[]): true {
  const { network } = store;
  const goes = new Set(condemned.map(({ subject }) => subject));
  const stays = new Set(all.filter((subject) => !goes.has(subject)).map(({ containerId }) => containerId));
  const ids = new Set([...goes].map(({ containerId }) => containerId).filter((id) => id !== '' && !stays.has(id)));
  const addresses = [...new Set([...goes].flatMap(addressesOf))];
  if (addresses.length + ids.size > 0) {
    const owners = [...ids].map((containerId) => ({ network, containerId }));
    // Nobody hurries whoever says who is dead: then also where no rules of ours are known to be.
    const everywhere = condemned.some(({ isProof }) => !isProof);
    removeRulesOf({ addresses, network, owners, everywhere, warn: store.warn });
  }
  return true;
}

/** The addresses that are the subject's for certain: of a record whose lease went to another, only the others. */
export function addressesOf({ read, leases }: Subject): string[] {
  const leased = leases.map(({ name }) => name).filter((name) => parseIp(name) !== undefined);
  const recorded = read?.record.leases.length === 0 ? read.record.addresses : [];
  return [...leased, ...recorded.map((text) => parseCidr(text)?.ip.text ?? '')].filter((text) => text !== '');
}

/** Without a folder of leases there is no lock, and nothing that it could guard. */
async function underLock<T>(store: Store, host: Checkpoints, action: () => T): Promise<T> {
  if (!storeExists(store)) return action();
  return withStoreLock(store, host, async () => {
    const wasSeen = isSeen(store);
    try {
      return action();
    } finally {
      if (wasSeen) markSeen(store);
    }
  });
}

/** False when it is another one by now, or lives after all. */
function free(store: Store, { subject, isProof }: Condemned): boolean {
  const { read, leases } = subject;
  if (!leases.every((lease) => isUnchanged(store, lease)) || !isStillThat(store, read)) return false;
  if (isProof && seemsAlive(subject)) return false;
  release(
    store,
    leases.map(({ name }) => name),
  );
  if (read !== undefined) removeRecord(read);
  return true;
}

/** Throws code 11 while its ADD is at work. */
function isStillThat(store: Store, read: ReadRecord | undefined): boolean {
  if (read === undefined) return true;
  const now = readRecord(store, recordName(read.record));
  if (typeof now === 'string' || now.inode !== read.inode || now.record.state !== read.record.state) return false;
  if (now.record.state === 'added') return true;
  const lock = lockOf(now);
  if (lock === 'locked') throw inProgress(store, now.record);
  return lock === 'free';
}

/** What can be seen without a child: a link by its name, a path that leads to its namespace. */
function seemsAlive({ read, leases }: Subject): boolean {
  if (read === undefined || read.record.state === 'adding' || read.record.bootId !== bootId()) return false;
  const { hostLink, netnsPath, containerNetns, plugin } = read.record;
  // A record of host-local's without a lease guards nothing.
  if (plugin === 'host-local' && leases.length === 0) return false;
  return (hostLink !== undefined && linkNames().has(hostLink.name)) || cookieAt(netnsPath) === containerNetns;
}

function removeRecord({ path }: ReadRecord): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    throw ioError('remove the record of the attachment', path, error);
  }
}

/** One line of the log. */
export function describe({ network }: Store, { subject, why }: Condemned): string {
  const { containerId, ifname, read } = subject;
  const { pod } = read?.record ?? {};
  const who = isGarbage(subject) ? 'nobody' : `container ${containerId} ${ifname}`.trim();
  const inPod = pod === undefined ? '' : ` (pod ${pod.namespace}/${pod.name})`;
  const what = addressesOf(subject).join(', ') || 'the record';
  return `${network}: reclaimed ${what} of ${who}${inPod}: ${why}`;
}
