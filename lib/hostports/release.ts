/** Taking back what one attachment's record names, and the UDP flows that go on without rules. */
import { withPortLock } from '../attachment/port-lock.ts';
import type { PortRecord } from '../attachment/port-record.ts';
import { removeRecord, STATE_FOLDER } from '../attachment/port-record-store.ts';
import { type LocalnetUser, localnetUsers, readRegistry } from '../attachment/port-registry.ts';
import { CniError, messageOf } from '../cni/errors.ts';
import type { Host } from '../cni/plugin.ts';
import { deleteUdpFlows, type UdpFlows } from '../conntrack.ts';
import { close, type Needless, needless, settleLocalnet } from '../firewall/localnet.ts';
import type { Rider } from '../firewall/rider.ts';
import { backends } from './backends.ts';
import { type Forwarding, familiesOf, mappingsOf, specificHostIp, targetOf } from './forwarding.ts';

/**
 * Rules, then record, and what nobody needs after it. What can be is on its way when this returns. Rejects when something
 * of it fails, after doing what it could.
 */
export async function removeRecorded(record: PortRecord, host: Host, rider?: Rider): Promise<void> {
  const { state, localnet, backend } = record;
  const own = localnet === undefined ? [] : [{ ...localnet, backend }];
  // What a killed ADD left alone, a child that is about to write rules, holds the lock.
  const isLocked = state === 'adding' || isAny(goingWith(record, own));
  const left = isLocked
    ? withPortLock(host, () => removeLast({ record, own, rider }))
    : removeAmong({ record, own, rider });
  // Of two that go at the same time each still saw the other: the later one finds nobody by now.
  await settleLocalnet(await left, host);
  forgetUdpFlows(answeredFlows(record), host);
}

interface Going {
  readonly record: PortRecord;
  readonly own: readonly LocalnetUser[];
  readonly rider: Rider | undefined;
}

/** For the holder of the lock: with all that no other needs. What others still needed when they were looked for. */
async function removeLast({ record, own, rider }: Going): Promise<readonly LocalnetUser[]> {
  const going = goingWith(record, own);
  close(going.links);
  await backends[record.backend].remove([record], { dropsGuard: going.backends.includes(record.backend), rider });
  removeRecord(record);
  return isAny(going) ? [] : own;
}

/** Beside others, whom an ADD that runs now may rely on. */
async function removeAmong({ record, own, rider }: Going): Promise<readonly LocalnetUser[]> {
  await backends[record.backend].remove([record], { rider });
  removeRecord(record);
  return own;
}

function goingWith(record: PortRecord, own: readonly LocalnetUser[]): Needless {
  return needless(own, localnetUsers(readRegistry(), record));
}

function isAny({ backends: guarded, links }: Needless): boolean {
  return guarded.length + links.length > 0;
}

/** Those that the attachment itself answered. */
export function answeredFlows(forwarding: Forwarding): UdpFlows[] {
  return udpFlows(forwarding).map((flows) => ({ ...flows, answeredBy: targetOf(forwarding, flows.family)?.ip.text }));
}

/** The flows of each forwarded UDP port: the kernel goes on sending them wherever they went before the rules changed. */
export function udpFlows(forwarding: Forwarding): UdpFlows[] {
  return familiesOf(forwarding).flatMap((family) =>
    mappingsOf(forwarding, family)
      .filter(({ protocol }) => protocol === 'udp')
      .map((mapping) => ({ family, hostPort: mapping.hostPort, hostIp: specificHostIp(mapping) })),
  );
}

/** The rules are right whether or not this succeeds; flows that are left end by themselves when they fall silent. */
export function forgetUdpFlows(flows: readonly UdpFlows[], host: Host): void {
  try {
    deleteUdpFlows(flows, STATE_FOLDER);
  } catch (error) {
    const hint = error instanceof CniError && error.details !== '' ? ` (${error.details})` : '';
    host.warn(`portmap: stale UDP flows may reach nobody for a while: ${messageOf(error)}${hint}`);
  }
}
