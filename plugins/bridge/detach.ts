/** Taking an attachment's links away; what is gone already is success. */
import { deleteHostLink, deleteLink } from '../../lib/attachment/host-link.ts';
import type { AttachmentRecord } from '../../lib/attachment/record.ts';
import type { Store } from '../../lib/attachment/store.ts';
import { isAnothers } from '../../lib/attachment/tenant.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import type { Result } from '../../lib/cni/result.ts';
import type { IpCommand } from '../../lib/iproute2/batch.ts';
import { showLink } from '../../lib/iproute2/show.ts';
import { bootId } from '../../lib/linux/boot.ts';
import { linkNames } from '../../lib/linux/links.ts';
import { type Netns, netnsState, openNetns, ownCookie } from '../../lib/linux/netns.ts';
import { type Cidr, parseCidr } from '../../lib/net/ip.ts';
import { allAddresses, containerAddresses, deleteContainerLink } from './container-link.ts';
import type { Addresses } from './masquerade.ts';
import { planForgetting } from './plan.ts';
import { isGatewayName } from './vlan.ts';

/** What is left of the ADD: our own record, and what the runtime kept. */
export interface Known {
  readonly record: AttachmentRecord | undefined;
  readonly previous: Result | undefined;
}

export interface Leaving extends Known {
  readonly store: Store;
  /** Name of the bridge. */
  readonly bridge: string;
}

/**
 * Deletes the link, by its host's end where that is known, and tells the addresses that it had or that ADD had given it.
 * The path of the container may lead to another pod by now: a link there goes only when it is this attachment's.
 * Throws ToolError when the link may still be there.
 */
export function detach(call: Call, leaving: Leaving): Addresses {
  const recorded = recordedAddresses(leaving, call.ifname);
  deleteHostEnd(leaving, recorded);
  if (netnsState(call.netns) !== 'netns') return recorded.length > 0 ? { only: recorded } : { allBut: [] };
  using netns = openNetns(call.netns);
  const only = [...recorded, ...deleteContainerEnd(call, netns, leaving)];
  return only.length > 0 ? { only } : { allBut: netns.run(allAddresses) };
}

function deleteHostEnd({ record, previous, bridge }: Leaving, addresses: readonly Cidr[]): void {
  const forgetting = planForgettingAll(bridge, addresses);
  if (record?.hostLink === undefined) {
    deleteHostLinkOf(previous, bridge, forgetting);
    return;
  }
  // In another namespace or another boot than this, a link by that name is somebody else's.
  if (record.hostNetns !== ownCookie() || record.bootId !== bootId()) return;
  const { name } = record.hostLink;
  // Its name is as random as its MAC address; only one that was renamed has to be looked for.
  if (linkNames().has(name)) deleteLink(name, forgetting);
  else deleteHostLink(record.hostLink);
}

/** Whoever gets one of the addresses next has another MAC address. The bridge, or the gateways of its VLANs, know the old one. */
function planForgettingAll(bridge: string, addresses: readonly Cidr[]): IpCommand[] {
  const holders = [...linkNames()].filter((name) => name === bridge || isGatewayName(bridge, name));
  return holders.flatMap((holder) => planForgetting(addresses, holder));
}

/** Without a record: what prevResult names, if it still has the MAC address that goes with the name. */
function deleteHostLinkOf(previous: Result | undefined, bridge: string, forgetting: readonly IpCommand[]): void {
  for (const { name, mac, sandbox } of previous?.interfaces ?? []) {
    if (sandbox !== undefined || mac === undefined || !linkNames().has(name)) continue;
    // A veth as well, but all attachments of the VLAN share it.
    if (isGatewayName(bridge, name)) continue;
    const link = showLink(name);
    if (link?.linkinfo?.info_kind === 'veth' && link.address === mac.toLowerCase()) deleteLink(name, forgetting);
  }
}

/** The addresses of the container's end, if that was there and this attachment's. */
function deleteContainerEnd(call: Call, netns: Netns, { record, previous, store }: Leaving): Cidr[] {
  const { containerId, ifname } = call;
  if (!netns.run(linkNames).has(ifname)) return [];
  const macs = [record?.containerMac, containerMac(previous, ifname)].filter((mac) => mac !== undefined);
  if (macs.length > 0) return netns.run(() => deleteIfOurs(ifname, macs));
  if (record !== undefined) return [];
  // Nothing is known: as the reference does, unless somebody else's record names the interface.
  const containerNetns = netns.run(ownCookie);
  if (isAnothers(store, { containerId, ifname, containerNetns })) return [];
  return netns.run(() => deleteContainerLink(ifname));
}

/** The MAC address that `result` gives the container's interface. */
function containerMac(result: Result | undefined, ifname: string): string | undefined {
  const found = result?.interfaces.find(({ name, sandbox }) => name === ifname && sandbox !== undefined);
  return found?.mac?.toLowerCase();
}

function deleteIfOurs(ifname: string, macs: readonly string[]): Cidr[] {
  const link = showLink(ifname);
  return link?.address !== undefined && macs.includes(link.address) ? deleteContainerLink(ifname) : [];
}

/** Those that ADD gave it, as far as anybody kept them. */
export function recordedAddresses({ record, previous }: Known, ifname: string): Cidr[] {
  const own = (record?.addresses ?? []).flatMap((text) => parseCidr(text) ?? []);
  return [...own, ...containerAddresses(previous, ifname)];
}
