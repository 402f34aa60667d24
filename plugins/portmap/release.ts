/** Taking back what one attachment's record names, and the UDP flows that go on without rules. */
import { STATE_FOLDER } from '../../lib/attachment/port-record-store.ts';
import { CniError, messageOf } from '../../lib/cni/errors.ts';
import type { Host } from '../../lib/cni/plugin.ts';
import { deleteUdpFlows, type UdpFlows } from '../../lib/conntrack.ts';
import { backends } from './backends.ts';
import { type Forwarding, familiesOf, mappingsOf, specificHostIp, targetOf } from './forwarding.ts';

/** Throws when one of the families fails, after it did what it could for the other. The record stays. */
export async function removeRecorded(record: Forwarding, host: Host): Promise<void> {
  await host.checkpoint();
  backends[record.backend].remove([record]);
  forgetUdpFlows(answeredFlows(record), host);
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
