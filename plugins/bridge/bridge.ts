/** bridge: joins a container to a Linux bridge through a veth pair. ADD is in ./add.ts, DEL in ./del.ts, CHECK in ./check.ts. */
import { collectInvalid } from '../../lib/attachment/collect.ts';
import { storeOf } from '../../lib/attachment/of-call.ts';
import type { Store } from '../../lib/attachment/store.ts';
import { loadSubjects } from '../../lib/attachment/subject.ts';
import { combineErrors } from '../../lib/cni/errors.ts';
import type { Call, Plugin } from '../../lib/cni/plugin.ts';
import { prevResultIfReadable, requirePrevResult } from '../../lib/cni/prev-result.ts';
import { type ValidAttachment, validAttachments } from '../../lib/cni/valid-attachments.ts';
import type { BackendName } from '../../lib/firewall/backend.ts';
import { installedBackends } from '../../lib/firewall/choice.ts';
import { checkPorts } from '../../lib/hostports/attachment.ts';
import { collect } from '../../lib/hostports/gc.ts';
import { requireFirewall, requireStateFolder } from '../../lib/hostports/status.ts';
import { removeOrphanedSpoofChecks } from '../../lib/nft/mac-spoof.ts';
import { add } from './add.ts';
import { checkAttachment } from './check.ts';
import { del } from './del.ts';
import { mayHavePorts, portKeys } from './host-ports.ts';
import { askIpam } from './ipam.ts';
import { masquerades } from './masquerade.ts';
import { requireReady } from './readiness.ts';
import { currentRecord, firewallsOf, ownerOf } from './recorded.ts';
import { parseConfig } from './schema.ts';

export const bridge: Plugin = {
  name: 'bridge',
  add,
  del,
  async check(call) {
    const config = parseConfig(call);
    await askIpam(call, config, 'CHECK');
    const record = currentRecord(call, storeOf(call), prevResultIfReadable(call.config));
    checkAttachment(call, config, { owner: ownerOf(call), firewalls: firewallsOf(record, config) });
    if (config.ports !== undefined) checkPorts(call, portKeys(call.config.raw) ?? {}, requirePrevResult(call.config));
  },
  gc: collectGarbage,
  async status(call) {
    const config = parseConfig(call);
    requireReady(call, config);
    if (config.ports !== undefined) {
      requireFirewall(config.ports.configured);
      requireStateFolder();
    }
    await askIpam(call, config, 'STATUS');
  },
};

/** What the runtime does not list, then the same of the IPAM plugin. Goes on past failures. */
async function collectGarbage(call: Call): Promise<void> {
  const valid = validAttachments(call.config);
  const config = parseConfig(call);
  const store = storeOf(call);
  const errors: unknown[] = [];
  const attempt = async (action: () => Promise<readonly unknown[]>) => {
    try {
      errors.push(...(await action()));
    } catch (error) {
      errors.push(error);
    }
  };
  await attempt(() => collectInvalid(store, { valid, host: call.host, plugin: 'bridge' }));
  for (const firewall of config.ipMasq.length === 0 ? [] : installedBackends()) {
    await attempt(async () => removeUnlisted(firewall, store, valid));
  }
  if (config.macSpoofCheck) {
    await attempt(async () => {
      removeOrphanedSpoofChecks();
      return [];
    });
  }
  await attempt(async () => {
    if (mayHavePorts(call)) await collect(call);
    return [];
  });
  await attempt(async () => {
    await askIpam(call, config, 'GC');
    return [];
  });
  if (errors.length > 0) throw combineErrors(errors);
}

/** Masquerade of attachments that left neither record nor lease, such as the reference's. */
function removeUnlisted(firewall: BackendName, store: Store, valid: readonly ValidAttachment[]): readonly unknown[] {
  const { network, warn } = store;
  const present = () => [
    ...loadSubjects(store).map(({ containerId, ifname }) => ({ network, containerId, ifname })),
    ...valid.map(({ containerID, ifname }) => ({ network, containerId: containerID, ifname })),
  ];
  masquerades[firewall].removeUnlisted({ network, present, warn });
  return [];
}
