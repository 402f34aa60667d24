/** The host's side of an ADD: the bridge, the pair on it, its VLANs and flags; nobody heals the bridge meanwhile. */
import { deleteLink } from '../../lib/attachment/host-link.ts';
import { storeOf } from '../../lib/attachment/of-call.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import type { Transaction } from '../../lib/cni/transaction.ts';
import { runAndShow, runBatch } from '../../lib/iproute2/batch.ts';
import type { LinkInfo } from '../../lib/iproute2/show.ts';
import { linkNames } from '../../lib/linux/links.ts';
import type { Cidr } from '../../lib/net/ip.ts';
import { addSpoofCheck, removeSpoofChecks } from '../../lib/nft/mac-spoof.ts';
import { ensureBridge, type Made, type Seen } from './bridge-link.ts';
import { lockBridge } from './bridge-lock.ts';
import { livingPorts } from './living-ports.ts';
import { type Attachment, planHostBatch, planHostSysctls } from './plan.ts';
import { applySysctls } from './sysctls.ts';
import { joinVlans } from './vlan-port.ts';

export interface Joining {
  readonly attachment: Attachment;
  readonly gateways: readonly Cidr[];
  /** Leads to the container's namespace, for `ip`. */
  readonly netnsPath: string;
}

/** The container's link is there afterwards, and down. Throws. */
export async function joinBridge(call: Call, tx: Transaction, joining: Joining): Promise<Made> {
  const { attachment, gateways, netnsPath } = joining;
  const { config, pair } = attachment;
  using lock = await lockBridge(call.host, config.bridge);
  const around = {
    livingPorts: () => livingPorts(storeOf(call), config.bridge).filter((name) => name !== pair.hostName),
    makeExclusive: () => lock.makeExclusive(),
    warn: call.host.warn,
  };
  tx.onFailure('delete the veth pair', () => deleteLink(pair.hostName));
  const seen = await tx.step(() => joinAsItIs(attachment, netnsPath));
  const made = await tx.step(() => ensureBridge(config, gateways, around, seen));
  const { gateway } = made;
  let hasJoined = false;
  // Once it is in its VLAN others may use it.
  if (gateway?.isNew === true)
    tx.onFailure('delete the gateway of the VLAN', () => (hasJoined ? undefined : deleteLink(gateway.name)));
  await tx.step(() => {
    if (seen === undefined) runBatch(planHostBatch(attachment, netnsPath, gateway?.name));
    applySysctls(planHostSysctls(attachment));
  });
  if (config.vlans !== undefined) await tx.step(() => joinVlans(config, pair.hostName, gateway));
  hasJoined = true;
  if (config.macSpoofCheck) {
    tx.onFailure('remove the rules against spoofed MAC addresses', () => removeSpoofChecks([call]));
    await tx.step(() => addSpoofCheck({ ...call, port: pair.hostName, mac: pair.containerMac }));
  }
  return made;
}

/**
 * The usual case in one call of ip: the bridge is there, so the pair joins it, and what the bridge is like is told on the
 * way. `undefined` where nothing was made; what keeps it from working is found out by looking first.
 */
function joinAsItIs(attachment: Attachment, netnsPath: string): Seen | undefined {
  const { bridge, vlans } = attachment.config;
  if (vlans !== undefined || !linkNames().has(bridge)) return undefined;
  try {
    const show = ['addr', 'show', 'dev', bridge];
    const shown = runAndShow<LinkInfo>([show, ...planHostBatch(attachment, netnsPath)]);
    return { bridge: shown.flat().find(({ ifname }) => ifname === bridge), gateway: undefined };
  } catch (error) {
    if (linkNames().has(attachment.pair.hostName)) throw error;
    return undefined;
  }
}
