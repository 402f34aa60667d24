/** The host's end of an attachment's pair: found by name and MAC address together, since either alone may be another's. */
import { ToolError } from '../exec.ts';
import { type IpCommand, query, runBatch } from '../iproute2/batch.ts';
import type { LinkInfo } from '../iproute2/show.ts';
import { linkNames } from '../linux/links.ts';

export interface HostLink {
  readonly name: string;
  readonly mac: string;
}

/** Deletes the veth, also when it was renamed, and with it the container's end. Gone is success. Throws ToolError. */
export function deleteHostLink({ name, mac }: HostLink): void {
  const found = linkNames().has(name) ? linksByMac(mac, ['dev', name]) : [];
  const ours = found.length > 0 ? found : linksByMac(mac, []);
  for (const { ifname } of ours) deleteLink(ifname);
}

/** Veths of this namespace that have the MAC address. */
function linksByMac(mac: string, selector: readonly string[]): LinkInfo[] {
  const links = query<LinkInfo>([['link', 'show', ...selector]], { details: true }).flat();
  return links.filter(({ address, linkinfo }) => address === mac.toLowerCase() && linkinfo?.info_kind === 'veth');
}

/** Deletes the link called `name`, then does what there is to do `after` it; gone is success. Throws ToolError. */
export function deleteLink(name: string, after: readonly IpCommand[] = []): void {
  if (!linkNames().has(name)) return;
  try {
    runBatch([['link', 'delete', 'dev', name], ...after]);
  } catch (error) {
    // The namespace took it along between looking and deleting.
    if (error instanceof ToolError && !linkNames().has(name)) return;
    throw error;
  }
}
