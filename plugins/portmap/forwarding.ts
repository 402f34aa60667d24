/** What one attachment wants forwarded: everything that its rules are made from, in ADD, in CHECK and (recorded) in DEL. */
import type { Call } from '../../lib/cni/plugin.ts';
import type { Result } from '../../lib/cni/result.ts';
import { type Cidr, type Family, parseCidr, parseIp } from '../../lib/net/ip.ts';
import type { PortmapConfig } from './schema.ts';

export const FAMILIES: readonly Family[] = [4, 6];

export interface Attachment {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
}

export interface Mapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** As the runtime spelled it: the reference groups and sorts its rules by that. */
  readonly spelling: string;
  /** Canonical; '' means every address of the host, of both families. `0.0.0.0` and `::` mean every one of theirs. */
  readonly hostIp: string;
}

export interface Forwarding extends Attachment {
  /** Where to: the attachment's first address of each family, as a CIDR. */
  readonly targets: { readonly [F in Family]?: string | undefined };
  readonly mappings: readonly Mapping[];
  /** Masquerade what comes from the container's own network and from the host's 127.0.0.1. */
  readonly snat: boolean;
  /** Masquerade all that is forwarded. */
  readonly masqAll: boolean;
  /** The bit of the packet mark that asks for masquerading, 0 to 31. */
  readonly markMasqBit: number;
  /** A chain of somebody else's that marks instead of ours. */
  readonly externalSetMarkChain?: string | undefined;
  /** Words of an iptables rule that narrow down what is forwarded. */
  readonly conditions: { readonly [F in Family]: readonly string[] };
}

export function attachmentOf({ config, containerId, ifname }: Call): Attachment {
  return { network: config.name, containerId, ifname };
}

export function makeForwarding(attachment: Attachment, config: PortmapConfig, result: Result): Forwarding {
  return {
    ...attachment,
    targets: targetsOf(result, attachment.ifname),
    mappings: config.mappings,
    snat: config.snat,
    masqAll: config.masqAll,
    markMasqBit: config.markMasqBit,
    externalSetMarkChain: config.externalSetMarkChain,
    conditions: { 4: config.conditionsV4, 6: config.conditionsV6 },
  };
}

/** The first address of each family that `result` does not give to another interface than the container's `ifname`. */
export function targetsOf({ ips, interfaces }: Result, ifname: string): Forwarding['targets'] {
  const targets: { [F in Family]?: string } = {};
  for (const { address, interface: index } of ips) {
    const holder = index === undefined ? undefined : interfaces[index];
    if (holder !== undefined && (holder.name !== ifname || (holder.sandbox ?? '') === '')) continue;
    const family = parseCidr(address)?.ip.family;
    if (family !== undefined) targets[family] ??= address;
  }
  return targets;
}

/** The families that the attachment has an address of. */
export function familiesOf({ targets }: Forwarding): Family[] {
  return FAMILIES.filter((family) => targets[family] !== undefined);
}

export function targetOf({ targets }: Pick<Forwarding, 'targets'>, family: Family): Cidr | undefined {
  return parseCidr(targets[family] ?? '');
}

/** The mappings that hold for `family`: those of an address of the host's, only in its own. */
export function mappingsOf({ mappings }: Forwarding, family: Family): Mapping[] {
  return mappings.filter(({ hostIp }) => hostIp === '' || parseIp(hostIp)?.family === family);
}

/** The address of the host that the mapping is narrowed down to, `undefined` when it is not. */
export function specificHostIp({ hostIp }: Mapping): string | undefined {
  return hostIp === '' || parseIp(hostIp)?.value === 0n ? undefined : hostIp;
}
