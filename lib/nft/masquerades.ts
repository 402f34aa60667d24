/**
 * The reference's table with masqueraded addresses, `inet cni_plugins_masquerade`. A rule's comment begins with hashes of
 * its network and of its interface and container, and goes on for people.
 */

import { sha512Hex } from '../hash.ts';
import type { ChainOwner } from '../iptables/chain-name.ts';
import { parseIp } from '../net/ip.ts';
import type { NftRule } from './nft.ts';
import { comment, type NftTable } from './transaction.ts';

export const MASQUERADE_TABLE: NftTable = 'inet cni_plugins_masquerade';
/** The chain with the rules of containers. */
export const MASQ_CHECKS = 'masq_checks';

export interface MasqueradeOwner extends ChainOwner {
  readonly ifname: string;
}

/** `6fd94d501e58f0aa`: how the comments of a network's rules begin. */
export function networkKey(network: string): string {
  return sha512Hex(network).slice(0, 16);
}

/** `6fd94d501e58f0aa-287fc69eff0574a2`: how the comments of one interface's rules begin. */
export function ownerKey({ network, ifname, containerId }: MasqueradeOwner): string {
  return `${networkKey(network)}-${sha512Hex(`${ifname}:${containerId}`).slice(0, 16)}`;
}

export function masqueradeComment(owner: MasqueradeOwner): string {
  const { network, ifname, containerId } = owner;
  return comment(`${ownerKey(owner)}, net: ${network}, if: ${ifname}, id: ${containerId}`);
}

/** A rule, or an element of a set. */
export type Commented = Pick<NftRule, 'comment'>;

export function isOf(owner: MasqueradeOwner): (commented: Commented) => boolean {
  const key = ownerKey(owner);
  return ({ comment: note }) => note.startsWith(key);
}

/** Whose address a rule masquerades: canonical, '' when it is no such rule. */
export function sourceOf({ text }: NftRule): string {
  return parseIp(/^ip6? saddr (\S+) /.exec(text)?.[1] ?? '')?.text ?? '';
}

/** The interface that the comment names for people; `eth0` where the name of a long network left it no room. */
export function ifnameIn({ comment: note }: Commented): string {
  return /, if: ([^,]+), /.exec(note)?.[1] ?? 'eth0';
}

/** Whose a rule or an element is; `undefined` where the comment had no room for all of it, or is none of ours. */
export function ownerIn({ comment: note }: Commented): MasqueradeOwner | undefined {
  const [, key, network, ifname, containerId] = /^(\S+), net: (.*), if: (.*), id: (.*)$/.exec(note) ?? [];
  if (network === undefined || ifname === undefined || containerId === undefined) return undefined;
  const owner = { network, ifname, containerId };
  return ownerKey(owner) === key ? owner : undefined;
}
