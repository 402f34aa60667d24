/** The store and the record of the attachment that an interface plugin's call is about, whatever its IPAM plugin is. */
import { CniError, code, messageOf } from '../cni/errors.ts';
import type { Call } from '../cni/plugin.ts';
import type { BackendName } from '../firewall/backend.ts';
import { seeLease } from './lease-store.ts';
import { observe } from './observe.ts';
import { reclaim } from './reclaim.ts';
import { type AttachmentRecord, lockOf, readRecord, recordedLease, recordName } from './record.ts';
import { type RecordHandle, recordHandle } from './record-handle.ts';
import { DEFAULT_DATA_DIR, locationOf, type Store, storeAt } from './store.ts';
import { loadSubjects } from './subject.ts';
import { condemn, judgeThose } from './sweep.ts';

/** Where host-local keeps its leases, or would. A configuration that host-local would refuse is for it to refuse. */
export function storeOf({ config, host }: Pick<Call, 'config' | 'host'>): Store {
  return storeAt(locationOrDefault(config), host.warn);
}

function locationOrDefault(config: Call['config']) {
  const standard = { dataDir: DEFAULT_DATA_DIR, network: config.name };
  try {
    return locationOf(config) ?? standard;
  } catch {
    // Another IPAM plugin may mean something else by the key.
    return standard;
  }
}

export interface Place {
  readonly containerNetns: string;
  readonly former: readonly string[];
  /** What its rules will be written in; '' for none. */
  readonly firewall: BackendName | '';
}

export function recordOf(call: Call, store: Store, { containerNetns, former, firewall }: Place): RecordHandle {
  const { containerId, ifname, netns, args } = call;
  return recordHandle(store, {
    plugin: 'bridge',
    containerId,
    ifname,
    netns,
    args,
    containerNetns,
    former,
    firewall,
  });
}

/** The finished or unfinished record of an earlier ADD, for DEL. */
export function knownRecord(store: Store, call: Call): AttachmentRecord | undefined {
  const read = readRecord(store, recordName(call));
  return typeof read === 'string' ? undefined : read.record;
}

/**
 * Takes back what an earlier ADD of this very attachment left when it was killed; the addresses that it had. Usually
 * there is no record, and that is all that is looked at.
 */
export async function settleCrashed(store: Store, call: Call): Promise<string[]> {
  const read = readRecord(store, recordName(call));
  if (typeof read === 'string' || read.record.state === 'added' || lockOf(read) !== 'free') return [];
  const all = loadSubjects(store);
  const own = all.filter((subject) => subject.read?.path === read.path);
  const dead = judgeThose(own, observe(store, { minAgeMs: 0 }), all).filter(({ verdict }) => verdict === 'dead');
  const { freed, errors } = await reclaim(store, { condemned: dead.map(condemn), all, host: call.host });
  for (const error of errors) store.warn(`${store.network}: cannot reclaim: ${messageOf(error)}`);
  return freed.flatMap(({ subject }) => subject.leases.map(({ name }) => name));
}

/**
 * Opens the record where the IPAM plugin did not, with the leases that the reference's host-local made for this ADD.
 * `isNeeded` is false where the attachment works without, as under an IPAM plugin that keeps no files: then a disk that
 * cannot be written is only warned of. Throws code 5, 11 and 101.
 */
export function openRecord(call: Call, record: RecordHandle, { addresses, isNeeded }: Opening): void {
  if (record.isOpen) return;
  const store = storeOf(call);
  try {
    record.begin([]);
    record.note({ leases: addresses.flatMap((name) => ownLease(store, call, name)) });
  } catch (error) {
    if (isNeeded || !(error instanceof CniError) || error.code !== code.ioFailure) throw error;
    call.host.warn(`${error.message}; if this attachment is never deleted, nobody will know that it is dead`);
  }
}

interface Opening {
  /** Without prefix lengths. */
  readonly addresses: readonly string[];
  readonly isNeeded: boolean;
}

function ownLease(store: Store, { containerId, ifname }: Call, name: string) {
  const seen = seeLease(store, name);
  const isOurs = seen?.owner?.containerId === containerId && seen.owner.ifname === ifname;
  return isOurs ? [recordedLease(seen)] : [];
}
