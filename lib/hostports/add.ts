/**
 * ADD from the mappings on: whose the ports are, then record, rules and route_localnet, under the lock of the host's
 * ports, so that of two containers that ask at once one comes first.
 */
import { withPortLock } from '../attachment/port-lock.ts';
import type { Localnet, PortRecord } from '../attachment/port-record.ts';
import { readRecord, removeRecord, writeRecord } from '../attachment/port-record-store.ts';
import {
  forgetClaims,
  type LocalnetUser,
  localnetUsers,
  readRegistry,
  rememberClaims,
} from '../attachment/port-registry.ts';
import type { Traces } from '../attachment/traces.ts';
import { messageOf } from '../cni/errors.ts';
import type { Host } from '../cni/plugin.ts';
import { type Transaction, transaction } from '../cni/transaction.ts';
import { close, isOpen, open, settle } from '../firewall/localnet.ts';
import type { Rider } from '../firewall/rider.ts';
import { interfaceTowards } from '../linux/route-table.ts';
import { type Added, WITHOUT_UNDO } from './backend.ts';
import { backends } from './backends.ts';
import { type Forwarding, type Mapping, mappingsOf, specificHostIp, targetOf } from './forwarding.ts';
import { type FoundHolder, findHolders, findStrangers } from './holders.ts';
import { decideOwnership, describeEviction, type Wanted } from './ownership.ts';
import { answeredFlows, forgetUdpFlows, udpFlows } from './release.ts';

export interface Adding {
  readonly host: Host;
  readonly policy: Wanted['policy'];
  readonly traces: Traces;
  /** By an interface plugin; portmap otherwise. */
  readonly takenBy?: PortRecord['takenBy'];
  /** Of the same attachment, in the same firewall. */
  readonly rider?: Rider | undefined;
}

/**
 * Returns what lets go of the record: GC keeps off it until then, or until this process ends. Throws code 107 when a port is
 * another container's, 11 when a lock was not free in time.
 */
export async function forwardPorts(wanted: Forwarding, adding: Adding): Promise<() => void> {
  const { host } = adding;
  const { record, evicted, letGo } = await withPortLock(host, () => takePorts(wanted, adding));
  forgetUdpFlows([...udpFlows(record), ...evicted.flatMap(answeredFlows)], host);
  return letGo;
}

interface Taken {
  readonly record: PortRecord;
  readonly evicted: readonly Forwarding[];
  readonly letGo: () => void;
}

async function takePorts(wanted: Forwarding, { host, policy, traces, takenBy, rider }: Adding): Promise<Taken> {
  const { registry, holders } = findStrangers(readRegistry(), wanted, host.warn);
  const { network, containerId } = wanted;
  const asked = { network, containerId, mappings: wanted.mappings, policy };
  const decided = decideOwnership(asked, [...findHolders(registry, wanted), ...holders]);
  const { mappings, ceded, warnings } = decided;
  const evicted = decided.evicted.flatMap(({ forwardings }) => forwardings);
  for (const warning of warnings) host.warn(warning);
  const users = localnetUsers(registry);
  const kept = { ...wanted, mappings };
  const record: PortRecord = { ...kept, ceded, takenBy, traces, localnet: localnetOf(kept, users), state: 'adding' };
  const read = readRecord(record);
  const former = read === 'damaged' ? undefined : read;
  forgetClaims(registry, record);
  // Record first: whatever happens after it, DEL knows what to look for.
  let letGo = writeRecord(record);
  try {
    const { isGuarded } = await transaction(host, (tx) => forward(tx, record, { former, evicted, users, rider }));
    if (!isGuarded) host.warn(NO_GUARD);
    const done: PortRecord = { ...record, localnet: isGuarded ? record.localnet : undefined, state: 'added' };
    const letGoUnfinished = letGo;
    letGo = writeRecord(done);
    letGoUnfinished();
    rememberClaims(registry, done);
    if (evicted.length > 0 || former !== undefined) tidy({ evicted: decided.evicted, users, host });
    return { record: done, evicted, letGo };
  } catch (error) {
    letGo();
    throw error;
  }
}

const NO_GUARD = 'portmap: 127.0.0.1 does not lead to the forwarded ports: this kernel has no table raw to guard it in';

interface Leftovers {
  readonly evicted: readonly FoundHolder[];
  readonly users: readonly LocalnetUser[];
  readonly host: Host;
}

/** The ports are forwarded by now, whatever becomes of this: what stays goes with the next ADD, DEL or GC. */
function tidy({ evicted, users, host }: Leftovers): void {
  for (const holder of evicted) host.warn(describeEviction(holder));
  try {
    evicted.flatMap(({ forwardings }) => forwardings).forEach(removeRecord);
    settle(users);
  } catch (error) {
    host.warn(`portmap: ${messageOf(error)}`);
  }
}

interface Before {
  /** What an earlier ADD of the attachment had recorded. */
  readonly former: PortRecord | undefined;
  /** Of the dead, whose rules go. */
  readonly evicted: readonly Forwarding[];
  readonly users: readonly LocalnetUser[];
  readonly rider: Rider | undefined;
}

async function forward(tx: Transaction, record: PortRecord, { former, evicted, users, rider }: Before): Promise<Added> {
  tx.onFailure('restore the port forwarding record', () =>
    former === undefined ? removeRecord(record) : writeRecord(former)(),
  );
  const isMoved = former !== undefined && former.backend !== record.backend;
  const together = evicted.filter(({ backend }) => backend === record.backend);
  const added = await backends[record.backend].add(tx, record, {
    former: isMoved ? undefined : former,
    evicted: together,
    guard: guardFor(record, users),
    rider,
  });
  if (isMoved) await removeFormer(tx, former);
  const apart = evicted.filter(({ backend }) => backend !== record.backend);
  for (const [backend, records] of Map.groupBy(apart, (one) => one.backend)) {
    await tx.step(() => backends[backend].remove(records));
  }
  if (record.localnet !== undefined && added.isGuarded) await letLocalhostThrough(tx, record.localnet);
  return added;
}

/** The rules of an earlier ADD that no DEL followed, where they are in the other firewall. */
async function removeFormer(tx: Transaction, former: Forwarding): Promise<void> {
  const backend = backends[former.backend];
  tx.onFailure('restore the former rules', async () => void (await backend.add(WITHOUT_UNDO, former, {})));
  await tx.step(() => backend.remove([former]));
}

/** Packets from 127.0.0.1 may leave by the container's interface only if that allows it; masquerading comes later. */
async function letLocalhostThrough(tx: Transaction, { link }: Localnet): Promise<void> {
  if (isOpen(link)) return;
  tx.onFailure(`close ${link} to packets from 127.0.0.1`, () => close([link]));
  await tx.step(() => open(link));
}

/** Where nothing is forwarded at 127.0.0.1, nobody has to come from there. */
function localnetOf(forwarding: Forwarding, users: readonly LocalnetUser[]): Localnet | undefined {
  const target = targetOf(forwarding, 4);
  if (target === undefined || !forwarding.snat || !mappingsOf(forwarding, 4).some(isForLocalhost)) return undefined;
  const link = interfaceTowards(target.ip);
  if (link === undefined) return undefined;
  const others = users.filter((user) => user.link === link);
  return { link, wasOpen: isOpen(link) && !others.some(({ wasOpen }) => !wasOpen) };
}

function isForLocalhost(mapping: Mapping): boolean {
  return (specificHostIp(mapping) ?? '127.').startsWith('127.');
}

function guardFor({ localnet, backend }: PortRecord, users: readonly LocalnetUser[]): 'make' | 'expect' | undefined {
  if (localnet === undefined) return undefined;
  return users.some((user) => user.backend === backend) ? 'expect' : 'make';
}
