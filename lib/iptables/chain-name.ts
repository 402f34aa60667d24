/** Names of chains: the reference's, so that either side finds the other's. */
import { sha512Hex } from '../hash.ts';

/** Leads to the chains with forwarded ports of all containers. */
export const DNAT_CHAIN = 'CNI-HOSTPORT-DNAT';

/** What iptables allows (XT_EXTENSION_MAXNAMELEN less the final NUL). */
const LENGTH = 28;

/** Whose chains: the interface is not part of it, so two interfaces of one container on one network share theirs. */
export interface ChainOwner {
  readonly network: string;
  readonly containerId: string;
}

/** Masquerading, forwarded ports, and what the reference's portmap before 0.8 had for packets from localhost. */
export type ChainPrefix = 'CNI-' | 'CNI-DN-' | 'CNI-SN-';

/** `prefix` and as much of the SHA-512 of network name and container ID as fits: `CNI-2bbe0c48b91a7d1b8a6753a8`. */
export function chainName(prefix: ChainPrefix, network: string, containerId: string): string {
  return `${prefix}${sha512Hex(network + containerId)}`.slice(0, LENGTH);
}

/** True for a name that chainName() makes for some owner; shared chains such as `CNI-HOSTPORT-DNAT` are none. */
export function isOwnedChain(name: string, prefix: ChainPrefix): boolean {
  return name.length === LENGTH && name.startsWith(prefix) && /^[0-9a-f]+$/.test(name.slice(prefix.length));
}

/** Whose chain it is that a rule with this comment leads to; a comment may be cut, and then be no owner's at all. */
export function ownerIn(comment: string): ChainOwner | undefined {
  const [, network, containerId] = /^[ds]nat name: "([^"]*)" id: "([^"]*)/.exec(comment) ?? [];
  return network === undefined || containerId === undefined ? undefined : { network, containerId };
}
