/** Names of the chains that belong to one container: the reference's, so that either side finds the other's. */
import { sha512Hex } from '../hash.ts';

/** What iptables allows (XT_EXTENSION_MAXNAMELEN less the final NUL). */
const LENGTH = 28;

/**
 * `prefix` and as much of the SHA-512 of network name and container ID as fits: `CNI-2bbe0c48b91a7d1b8a6753a8`. The
 * interface is not part of it: two interfaces of one container on one network share their chain.
 */
export function chainName(prefix: 'CNI-' | 'CNI-DN-', network: string, containerId: string): string {
  return `${prefix}${sha512Hex(network + containerId)}`.slice(0, LENGTH);
}
