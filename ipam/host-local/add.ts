/**
 * ADD: one address per range set, all under one lock; on failure, exactly what this call reserved is released. What the
 * dead hold is taken back outside the lock (./recover.ts), and then it is tried again.
 */
import { removeDraft, writeDraft } from '../../lib/attachment/draft.ts';
import { findLeases } from '../../lib/attachment/find.ts';
import { markSeen } from '../../lib/attachment/index.ts';
import { leaseText, release, reserve, seeLease } from '../../lib/attachment/lease-store.ts';
import { recordedLease } from '../../lib/attachment/record.ts';
import { type RecordHandle, recordHandle } from '../../lib/attachment/record-handle.ts';
import { createStore, type Store, storeAt } from '../../lib/attachment/store.ts';
import { withStoreLock } from '../../lib/attachment/store-lock.ts';
import { isUnclaimed } from '../../lib/attachment/subject.ts';
import { sweepAfterChange } from '../../lib/attachment/sweep.ts';
import { code } from '../../lib/cni/errors.ts';
import { encodeCompact, isObject } from '../../lib/cni/json.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import type { IpConfig, Result } from '../../lib/cni/result.ts';
import { type Transaction, transaction } from '../../lib/cni/transaction.ts';
import { sha256Hex } from '../../lib/hash.ts';
import { cookieAt, isOwnNetns } from '../../lib/linux/netns.ts';
import { readResolvConf } from '../../lib/net/resolv-conf.ts';
import { type Allocation, type Candidate, candidates, planAllocations } from './allocate.ts';
import { readCursor, writeCursor } from './cursor.ts';
import { formatSet } from './ranges.ts';
import { makeRoom } from './recover.ts';
import { RefusedError } from './refusal.ts';
import { type Config, parseConfigWithRanges, parseLocation } from './schema.ts';

/** One ADD, as far as it has come. */
export interface Adding {
  readonly call: Call;
  readonly config: Config;
  readonly store: Store;
  readonly record: RecordHandle;
  /** Addresses that the attachment had before it died. */
  readonly former: readonly string[];
}

/** Throws code 4, 5, 7, 11, 100, 101 or 105. */
export async function add(call: Call): Promise<Result> {
  const config = parseConfigWithRanges(call.config, call.args);
  const store = storeAt(parseLocation(call.config), call.host.warn);
  const dns = config.resolvConf === '' ? {} : readResolvConf(config.resolvConf);
  createStore(store);
  const record = call.record ?? ownRecord(call, store);
  const former = [...record.former, ...(await sweepOnce(call, config, store))];
  const ips = await leaseOrRecover({ call, config, store, record, former });
  return { interfaces: [], ips, routes: config.routes, dns };
}

/** What the attachment itself had before the reboot, if this is the first ADD since then. */
async function sweepOnce(call: Call, { recovery }: Config, store: Store): Promise<string[]> {
  if (!recovery.reclaim) return [];
  const freed = await sweepAfterChange(store, { minAgeMs: recovery.minAgeMs, host: call.host, ranges: rangesId(call) });
  const own = freed.filter(
    ({ subject }) => subject.containerId === call.containerId && ['', call.ifname].includes(subject.ifname),
  );
  return own.flatMap(({ subject }) => subject.leases.map(({ name }) => name));
}

/** Without those of the runtime, which may differ with every container. */
function rangesId({ config }: Call): string {
  const { subnet, ranges } = isObject(config.raw.ipam) ? config.raw.ipam : {};
  return sha256Hex(encodeCompact([subnet, ranges])).slice(0, 16);
}

/** Under an interface plugin of others; ours brings one along. */
function ownRecord(call: Call, store: Store): RecordHandle {
  const { containerId, ifname, netns, args } = call;
  const containerNetns = isOwnNetns(netns) ? '' : (cookieAt(netns) ?? '');
  return recordHandle(store, { plugin: 'host-local', containerId, ifname, netns, args, containerNetns, firewall: '' });
}

/** More often than others can take what was freed for us; a range whose room is no room ends there. */
const MAX_ATTEMPTS = 10;

/** Tries again after each time that room was made: first for the attachment's own former leases, then in a full range. */
async function leaseOrRecover(adding: Adding): Promise<IpConfig[]> {
  let attempt = adding;
  for (let count = 1; ; count += 1) {
    try {
      return await withStoreLock(adding.store, adding.call.host, () => leaseAll(attempt));
    } catch (error) {
      if (!(error instanceof RefusedError) || count === MAX_ATTEMPTS) throw error;
      attempt = await makeRoom(attempt, error);
    }
  }
}

async function leaseAll(adding: Adding): Promise<IpConfig[]> {
  const { call, config, store } = adding;
  const { exact, byContainer } = findLeases(store, call, { canWrite: true });
  const { sets, requested } = config;
  const plan = planAllocations({
    sets,
    requested,
    containerId: call.containerId,
    leases: [...exact, ...byContainer],
  });
  try {
    return await transaction(call.host, (tx) => leaseEach(adding, plan, tx));
  } finally {
    markSeen(store);
  }
}

/** Drafts, then the record that knows them, then the leases: whatever a kill leaves, the record tells what it is. */
async function leaseEach(adding: Adding, plan: readonly Allocation[], tx: Transaction): Promise<IpConfig[]> {
  const { call, store, record } = adding;
  const drafts = plan.map(() => {
    const draft = writeDraft(store, leaseText(call));
    tx.onFailure('remove a draft', () => removeDraft(draft));
    return draft;
  });
  tx.onFailure('remove the record', () => record.abandon());
  record.begin(drafts);
  const ips: IpConfig[] = [];
  for (const [at, draft] of drafts.entries()) {
    const allocation = plan[at];
    if (allocation === undefined) continue;
    const { ip, range } = await tx.step(() => allocate(adding, allocation, draft));
    tx.onFailure(`release ${ip.text}`, () => release(store, [ip.text]));
    writeCursor(store, allocation.index, ip);
    ips.push({ address: `${ip.text}/${range.subnet.prefix}`, gateway: range.gateway.text });
  }
  complete(adding, ips);
  return ips;
}

function complete({ call, store, record }: Adding, ips: readonly IpConfig[]): void {
  const addresses = ips.map(({ address }) => address);
  const leases = addresses.flatMap((address) => {
    const seen = seeLease(store, address.replace(/\/.*/, ''));
    return seen === undefined ? [] : [recordedLease(seen)];
  });
  record.note({ leases, addresses });
  if (call.record === undefined) record.finish();
}

function allocate({ store, former }: Adding, allocation: Allocation, draft: ReturnType<typeof writeDraft>): Candidate {
  const last = readCursor(store, allocation.index);
  const candidate = reserve(store, candidates(allocation, { last, former }), {
    draft,
    mayReclaim: (name) => isUnclaimed(store, name),
  });
  if (candidate !== undefined) return candidate;
  throw allocation.requested === undefined ? full(allocation) : taken(store, allocation, allocation.requested);
}

function taken(_store: Store, { index, set }: Allocation, { ip }: Candidate): RefusedError {
  const message = `requested IP address ${ip.text} is not available in range set ${formatSet(set)}`;
  return new RefusedError(index, { kind: 'held', names: [ip.text] }, { code: code.conflict, message });
}

function full({ index, set }: Allocation): RefusedError {
  const message = `no IP addresses available in range set: ${formatSet(set)}`;
  return new RefusedError(index, { kind: 'full', set }, { code: code.exhausted, message });
}
