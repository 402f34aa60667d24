/** Taking back what one attachment's record names, and the UDP flows that go on without rules. */
import { withPortLock } from '../../lib/attachment/port-lock.ts';
import type { PortRecord } from '../../lib/attachment/port-record.ts';
import { removeRecord, STATE_FOLDER } from '../../lib/attachment/port-record-store.ts';
import { localnetUsers, readRegistry } from '../../lib/attachment/port-registry.ts';
import { CniError, messageOf } from '../../lib/cni/errors.ts';
import type { Host } from '../../lib/cni/plugin.ts';
import { deleteUdpFlows, type UdpFlows } from '../../lib/conntrack.ts';
import { close, needless } from '../../lib/firewall/localnet.ts';
import { backends } from './backends.ts';
import { type Forwarding, familiesOf, mappingsOf, specificHostIp, targetOf } from './forwarding.ts';

/** Rules, then record, and what nobody needs after it. Throws when something of it fails, after doing what it could. */
export async function removeRecorded(record: PortRecord, host: Host): Promise<void> {
  await host.checkpoint();
  if (isNeedless(record)) await withPortLock(host, async () => removeAll(record));
  else removeAll(record);
  forgetUdpFlows(answeredFlows(record), host);
}

/** Whether something goes with this attachment that an ADD which runs now may rely on. */
function isNeedless(record: PortRecord): boolean {
  const { backends: guarded, links } = goingWith(record);
  return guarded.length + links.length > 0;
}

function goingWith(record: PortRecord) {
  const { localnet, backend } = record;
  return needless(localnet === undefined ? [] : [{ ...localnet, backend }], localnetUsers(readRegistry(), record));
}

function removeAll(record: PortRecord): void {
  const { backends: guarded, links } = goingWith(record);
  close(links);
  backends[record.backend].remove([record], { dropsGuard: guarded.includes(record.backend) });
  removeRecord(record);
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
