/** Taking an attachment's links away; what is gone already is success. */
import type { Result } from '../../lib/cni/result.ts';
import { ToolError } from '../../lib/exec.ts';
import { query, runBatch } from '../../lib/iproute2/batch.ts';
import type { LinkInfo } from '../../lib/iproute2/show.ts';
import { linkNames } from '../../lib/linux/links.ts';
import { type Cidr, parseCidr } from '../../lib/net/ip.ts';
import { bridgeAddresses } from './bridge-link.ts';

/** Deletes `ifname` in the namespace of this thread and tells the addresses that it had. Throws ToolError. */
export function deleteContainerLink(ifname: string): Cidr[] {
  if (!linkNames().has(ifname)) return [];
  const [shown] = query<LinkInfo>([
    ['addr', 'show', 'dev', ifname],
    ['link', 'delete', 'dev', ifname],
  ]);
  return bridgeAddresses(shown?.[0]);
}

/** The addresses of all links in the namespace of this thread. */
export function allAddresses(): Cidr[] {
  return query<LinkInfo>([['addr', 'show']])
    .flat()
    .flatMap(bridgeAddresses);
}

/** Deletes the host's end, and with it the container's. Throws ToolError. */
export function deleteHostLink(name: string): void {
  if (!linkNames().has(name)) return;
  try {
    runBatch([['link', 'delete', 'dev', name]]);
  } catch (error) {
    // The namespace took it along between looking and deleting.
    if (error instanceof ToolError && !linkNames().has(name)) return;
    throw error;
  }
}

/** The addresses that `result` gives the container's interface `ifname`. */
export function containerAddresses(result: Result | undefined, ifname: string): Cidr[] {
  const interfaces = result?.interfaces ?? [];
  return (result?.ips ?? []).flatMap(({ address, interface: index }) => {
    const owner = index === undefined ? undefined : interfaces[index];
    const isOurs = owner === undefined || (owner.name === ifname && owner.sandbox !== undefined);
    const cidr = isOurs ? parseCidr(address) : undefined;
    return cidr === undefined ? [] : [cidr];
  });
}
