/** What one attachment wants forwarded: everything that its rules are made from, in ADD, in CHECK and (recorded) in DEL. */
import type { PortAttachment, PortForwarding, PortMapping } from '../attachment/port-record.ts';
import type { Call } from '../cni/plugin.ts';
import type { Result } from '../cni/result.ts';
import type { BackendName } from '../firewall/backend.ts';
import { type Cidr, type Family, networkText, parseCidr, parseIp } from '../net/ip.ts';
import type { PortmapConfig } from './schema.ts';

export const FAMILIES: readonly Family[] = [4, 6];

export type Attachment = PortAttachment;
export type Mapping = PortMapping;
export type Forwarding = PortForwarding;

export function attachmentOf({ config, containerId, ifname }: Call): Attachment {
  return { network: config.name, containerId, ifname };
}

export interface Wanted {
  readonly config: PortmapConfig;
  readonly result: Result;
  readonly backend: BackendName;
}

export function makeForwarding(attachment: Attachment, { config, result, backend }: Wanted): Forwarding {
  return {
    ...attachment,
    backend,
    targets: targetsOf(result, attachment.ifname),
    mappings: config.mappings,
    snat: config.snat,
    masqAll: config.masqAll,
    markMasqBit: config.markMasqBit,
    externalSetMarkChain: config.externalSetMarkChain,
    conditions: { 4: config.conditionsV4, 6: config.conditionsV6 },
    excludes: { 4: networksOf(config.excludeCIDRs, 4), 6: networksOf(config.excludeCIDRs, 6) },
  };
}

/** Canonical, each once. */
function networksOf(cidrs: readonly string[], family: Family): string[] {
  const networks = cidrs.map(parseCidr).filter((cidr) => cidr?.ip.family === family);
  return [...new Set(networks.flatMap((cidr) => (cidr === undefined ? [] : networkText(cidr))))];
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
export function familiesOf({ targets }: Pick<Forwarding, 'targets'>): Family[] {
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
