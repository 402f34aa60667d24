/** What a person reads on a terminal: two columns, one fact per line. */
import { isObject } from '../../lib/cni/json.ts';
import type { Result } from '../../lib/cni/result.ts';
import type { Attachment } from '../../lib/libcni/attachment.ts';
import type { Network } from '../../lib/libcni/network.ts';

/** An attachment after ADD: interfaces, addresses, routes, ports. */
export function renderAttachment({
  network,
  attachment,
  result,
}: {
  network: string;
  attachment: Attachment;
  result: Result;
}): string {
  const inside = result.interfaces.filter(({ sandbox }) => sandbox !== undefined);
  const outside = result.interfaces.filter(({ sandbox }) => sandbox === undefined);
  return columns([
    ['network', network],
    ['container', `${attachment.containerId} (${attachment.netns})`],
    ...inside.map(({ name, mac, mtu }) => ['interface', words(name, mac, mtu && `mtu ${mtu}`)] as const),
    ...outside.map(({ name, mac }) => ['on the host', words(name, mac)] as const),
    ...result.ips.map(({ address, gateway }) => ['address', words(address, gateway && `gateway ${gateway}`)] as const),
    ...result.routes.map(({ dst, gw }) => ['route', words(dst, gw && `via ${gw}`)] as const),
    ...ports(attachment).map((port) => ['port', port] as const),
  ]);
}

/** Each plugin of the network with the versions it knows, and whether the network's is among them. */
export function renderVersions(network: Network, known: ReadonlyMap<string, readonly string[]>): string {
  const wanted = network.cniVersion === '' ? '0.1.0' : network.cniVersion;
  return columns([
    ['network', `${network.name} uses ${wanted}`],
    ...[...known].map(([type, versions]) => {
      const verdict = versions.includes(wanted) ? '' : `, not ${wanted}`;
      return [type, `${versions.join(', ')}${verdict}`] as const;
    }),
  ]);
}

/** Port mappings come from CAP_ARGS, too, so they may have any shape: what is no mapping is for portmap to refuse. */
function ports({ capabilityArgs }: Attachment): readonly string[] {
  const mappings = capabilityArgs?.portMappings;
  return (Array.isArray(mappings) ? mappings : [])
    .filter(isObject)
    .map(({ hostIP, hostPort, containerPort, protocol }) =>
      portText({
        hostIp: typeof hostIP === 'string' ? hostIP : '',
        hostPort,
        containerPort,
        protocol: protocol ?? 'tcp',
      }),
    );
}

/** `*:8080 → 80/tcp`; whatever is passed for the numbers is shown as it is. */
export function portText(port: {
  hostIp: string;
  hostPort: unknown;
  containerPort: unknown;
  protocol: unknown;
}): string {
  const address = port.hostIp === '' ? '*' : port.hostIp;
  const host = address.includes(':') ? `[${address}]` : address;
  return `${host}:${port.hostPort} → ${port.containerPort}/${port.protocol}`;
}

function words(...parts: readonly (string | number | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== '' && part !== 0).join('  ');
}

function columns(rows: readonly (readonly [label: string, value: string])[]): string {
  const width = Math.max(...rows.map(([label]) => label.length)) + 2;
  return rows.map(([label, value]) => `${label.padEnd(width)}${value}`).join('\n');
}
