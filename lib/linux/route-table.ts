/** Which interface of this network namespace leads to an address (proc_net(5), ip-route(8)). */
import { readFileSync } from 'node:fs';
import { isObject } from '../cni/json.ts';
import { run } from '../exec.ts';
import { contains, type Family, type Ip, makeIp } from '../net/ip.ts';

/** Flags of both tables under /proc/net: usable; refuses what it matches (`unreachable`, `prohibit`). */
const RTF_UP = 0x1;
const RTF_REJECT = 0x200;

interface Ipv4Route {
  readonly interface: string;
  readonly prefix: number;
  readonly metric: number;
}

/**
 * The name of the interface that packets to `ip` leave by; `undefined` when no route leads there. A container's own
 * network is in the main table, which costs no child; anything else is asked of `ip route get`.
 */
export function interfaceTowards(ip: Ip): string | undefined {
  const direct = ip.family === 4 ? parseIpv4Routes(readTable('route'), ip) : undefined;
  return direct ?? askRoute(ip);
}

/** Whether a route of the main table leads to `ip`, other than the default route. */
export function isRouted(ip: Ip): boolean {
  if (ip.family === 4) return parseIpv4Routes(readTable('route'), ip) !== undefined;
  return hasIpv6Route(readTable('ipv6_route'), ip);
}

function readTable(name: 'route' | 'ipv6_route'): string {
  try {
    return readFileSync(`/proc/net/${name}`, 'utf8');
  } catch {
    // This kernel has not got the family: no routes.
    return '';
  }
}

/** The same in `text` (/proc/net/ipv6_route). */
export function hasIpv6Route(text: string, ip: Ip): boolean {
  return text.split('\n').some((line) => {
    const [destination = '', length = '', , , , , , , flags = ''] = line.split(/\s+/);
    const prefix = Number.parseInt(length, 16);
    const isUsable = prefix > 0 && isUsed(Number.parseInt(flags, 16));
    return isUsable && contains({ ip: makeIp(6, BigInt(`0x${destination}`)), prefix }, ip);
  });
}

function isUsed(flags: number): boolean {
  return (flags & RTF_UP) !== 0 && (flags & RTF_REJECT) === 0;
}

/** The interface of the longest prefix in `text` (/proc/net/route) that holds `ip`; a default route does not count. */
export function parseIpv4Routes(text: string, ip: Ip): string | undefined {
  const routes = text
    .split('\n')
    .slice(1)
    .map((line) => parseLine(line, ip))
    .filter((route) => route !== undefined)
    .filter(({ prefix }) => prefix > 0);
  routes.sort((one, two) => two.prefix - one.prefix || one.metric - two.metric);
  return routes[0]?.interface;
}

function parseLine(line: string, ip: Ip): Ipv4Route | undefined {
  const [name = '', destination = '', , flags = '', , , metric = '', mask = ''] = line.split('\t').map((s) => s.trim());
  if (!/^[\dA-F]{8}$/.test(destination) || !/^[\dA-F]{8}$/.test(mask)) return undefined;
  if (!isUsed(Number.parseInt(flags, 16))) return undefined;
  const prefix = hostOrder(mask).toString(2).replaceAll('0', '').length;
  const network = { ip: makeIp(4, BigInt(hostOrder(destination))), prefix };
  return contains(network, ip) ? { interface: name, prefix, metric: Number(metric) } : undefined;
}

/** The file shows the bytes in memory order of this machine, which is little-endian on every one we run on. */
function hostOrder(hex: string): number {
  return Buffer.from(hex, 'hex').readUInt32LE();
}

const FAMILY_FLAG: Record<Family, string> = { 4: '-4', 6: '-6' };

function askRoute(ip: Ip): string | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(run('ip', ['-json', FAMILY_FLAG[ip.family], 'route', 'get', ip.text]));
  } catch {
    // "Network is unreachable" is the usual reason, and the answer in any case: none that we know of.
    return undefined;
  }
  const first: unknown = Array.isArray(answer) ? answer[0] : undefined;
  return isObject(first) && typeof first.dev === 'string' ? first.dev : undefined;
}
