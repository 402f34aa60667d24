/** One attachment as cnictl shows it: what its lease and record say, with the host ports that portmap remembers. */
import type { AttachmentRow } from '../../lib/attachment/collect.ts';
import type { PortRecord } from '../../lib/attachment/port-record.ts';
import { parseIp } from '../../lib/net/ip.ts';

export interface HostPort {
  /** '' for every address of the host. */
  readonly hostIp: string;
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: string;
}

/** In the order in which JSON shows it. */
export interface Entry {
  readonly addresses: readonly string[];
  readonly network: string;
  readonly containerId: string;
  readonly pod?: { readonly namespace: string; readonly name: string };
  /** '' in a lease of the format of old versions. */
  readonly ifname: string;
  readonly hostPorts: readonly HostPort[];
  readonly ageSeconds: number;
  readonly verdict: AttachmentRow['verdict'];
  readonly why: string;
}

/** `rows` with the ports that `records` have for them. */
export function makeEntries(rows: readonly AttachmentRow[], records: readonly PortRecord[]): Entry[] {
  return rows.map(({ addresses, network, containerId, pod, ifname, ageMs, verdict, why }) => ({
    addresses,
    network,
    containerId,
    ...(pod === undefined ? {} : { pod }),
    ifname,
    hostPorts: records
      .filter((record) => record.network === network && record.containerId === containerId)
      .filter((record) => ifname === '' || record.ifname === ifname)
      .flatMap(({ mappings }) => mappings.map(hostPortOf)),
    ageSeconds: Math.floor(ageMs / 1000),
    verdict,
    why,
  }));
}

function hostPortOf({ hostIp, hostPort, containerPort, protocol }: PortRecord['mappings'][number]): HostPort {
  return { hostIp, hostPort, containerPort, protocol };
}

/** By network, then address as a number. */
export function sortEntries(entries: readonly Entry[]): Entry[] {
  const keyed = entries.map((entry) => ({ entry, ip: parseIp(entry.addresses[0] ?? '') }));
  keyed.sort((one, two) => {
    const byNetwork = compare(one.entry.network, two.entry.network);
    if (byNetwork !== 0) return byNetwork;
    return compare(one.ip?.family ?? 0, two.ip?.family ?? 0) || compare(one.ip?.value ?? 0n, two.ip?.value ?? 0n);
  });
  return keyed.map(({ entry }) => entry);
}

function compare<T extends string | number | bigint>(one: T, two: T): number {
  if (one === two) return 0;
  return one < two ? -1 : 1;
}
