/** `--port`: a published port in the form that people know from container tools. */
import { parseIp } from '../../lib/net/ip.ts';
import { UsageError } from './usage-error.ts';

/** One entry of the capability `portMappings` (CONVENTIONS.md). */
export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** Absent: every address of the host. */
  readonly hostIP?: string;
}

/** `[IP:]HOST:CONTAINER[/PROTOCOL]`, an IPv6 address in brackets. */
const FORM = /^(?:\[(?<v6>[^\]]*)\]:|(?<v4>[^:[\]]*):)?(?<host>\d+):(?<container>\d+)(?:\/(?<protocol>\w+))?$/;

/** The mapping in `text`: `8080:80`, `127.0.0.1:5353:53/udp`, `[::1]:8080:80`. Throws UsageError. */
export function parsePort(text: string): PortMapping {
  const groups = FORM.exec(text)?.groups;
  if (groups === undefined) throw refuse(text, 'it does not have the form');
  const hostIp = groups.v6 ?? groups.v4;
  return {
    hostPort: parseNumber(text, groups.host),
    containerPort: parseNumber(text, groups.container),
    protocol: parseProtocol(text, groups.protocol ?? 'tcp'),
    ...(hostIp === undefined ? {} : { hostIP: parseHostIp(text, hostIp) }),
  };
}

function parseNumber(text: string, digits = ''): number {
  const port = Number(digits);
  if (port >= 1 && port <= 65535) return port;
  throw refuse(text, `${digits} is no port (1 to 65535)`);
}

function parseProtocol(text: string, name: string): PortMapping['protocol'] {
  const protocol = name.toLowerCase();
  if (protocol === 'tcp' || protocol === 'udp' || protocol === 'sctp') return protocol;
  throw refuse(text, `"${name}" is no protocol (tcp, udp or sctp)`);
}

function parseHostIp(text: string, address: string): string {
  const ip = parseIp(address);
  if (ip !== undefined) return ip.text;
  throw refuse(text, `"${address}" is no IP address`);
}

function refuse(text: string, why: string): UsageError {
  return new UsageError(
    `cannot read --port ${JSON.stringify(text)}: ${why}`,
    'write --port [IP:]HOSTPORT:CONTAINERPORT[/PROTOCOL], as 8080:80, 127.0.0.1:5353:53/udp or [::1]:8080:80',
  );
}
