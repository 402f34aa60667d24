/** What is recorded of an attachment, as far as it is of this very one, and which firewalls may hold its rules. */
import { knownRecord } from '../../lib/attachment/of-call.ts';
import type { AttachmentRecord } from '../../lib/attachment/record.ts';
import type { Store } from '../../lib/attachment/store.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import type { Result } from '../../lib/cni/result.ts';
import { BACKENDS, type BackendName } from '../../lib/firewall/backend.ts';
import { backendsInUse } from '../../lib/firewall/choice.ts';
import { formatCidr } from '../../lib/net/ip.ts';
import { containerAddresses } from './container-link.ts';
import type { Owner } from './masquerade.ts';
import type { BridgeConfig } from './schema.ts';

/** Without the one that is left of a former attachment: the reference deleted that, and added the container again. */
export function currentRecord(call: Call, store: Store, previous: Result | undefined): AttachmentRecord | undefined {
  const record = knownRecord(store, call);
  const told = containerAddresses(previous, call.ifname).map(formatCidr);
  const isOther = told.length > 0 && record !== undefined && record.addresses.length > 0;
  return isOther && !told.some((text) => record.addresses.includes(text)) ? undefined : record;
}

/** By our record; the reference, which leaves none, may have taken either. */
export function firewallsOf(record: AttachmentRecord | undefined, config: BridgeConfig): BackendName[] {
  const recorded = BACKENDS.find((backend) => backend === record?.firewall);
  if (recorded !== undefined) return [recorded];
  return config.ipMasq.length === 0 ? [] : backendsInUse(config.ipMasqBackend?.backend);
}

export function ownerOf(call: Call): Owner {
  return { network: call.config.name, containerId: call.containerId, ifname: call.ifname };
}
