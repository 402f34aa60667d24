/** The container's end of an attachment, and the addresses that it has or was given. */
import type { Result } from '../../lib/cni/result.ts';
import { query } from '../../lib/iproute2/batch.ts';
import { givenAddresses, type LinkInfo } from '../../lib/iproute2/show.ts';
import { linkNames } from '../../lib/linux/links.ts';
import { type Cidr, parseCidr } from '../../lib/net/ip.ts';

/** Deletes `ifname` in the namespace of this thread and tells the addresses that it had. Throws ToolError. */
export function deleteContainerLink(ifname: string): Cidr[] {
  if (!linkNames().has(ifname)) return [];
  const [shown] = query<LinkInfo>([
    ['addr', 'show', 'dev', ifname],
    ['link', 'delete', 'dev', ifname],
  ]);
  return givenAddresses(shown?.[0]);
}

/** The addresses of all links in the namespace of this thread. */
export function allAddresses(): Cidr[] {
  return query<LinkInfo>([['addr', 'show']])
    .flat()
    .flatMap(givenAddresses);
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
