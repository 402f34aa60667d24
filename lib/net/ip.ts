/** IP addresses and CIDRs, parsed once to values and printed as Go prints them (RFC 5952). Text handling: ip-address. */
import { isIPv4 } from 'node:net';
import { Address4, Address6 } from 'ip-address';

export type Family = 4 | 6;

export interface Ip {
  readonly family: Family;
  readonly value: bigint;
  /** Canonical text: `10.1.0.5`, `2001:db8::5`. */
  readonly text: string;
}

/** An address with its prefix length; `ip` keeps its host bits. */
export interface Cidr {
  readonly ip: Ip;
  readonly prefix: number;
}

const MAPPED = 0xffffn << 32n;

export function bitsOf(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** The address in `text`, `undefined` when it is none. As in Go, `::ffff:1.2.3.4` is 1.2.3.4; a zone is refused. */
export function parseIp(text: string): Ip | undefined {
  if (isIPv4(text)) return makeIp(4, new Address4(text).bigInt());
  if (!isIpv6(text)) return undefined;
  const value = new Address6(text).bigInt();
  return value >> 32n === MAPPED >> 32n ? makeIp(4, value & 0xffffffffn) : makeIp(6, value);
}

/** By the parser of URLs: isIPv6() of node:net has an expression to compile that would cost each process 5 ms. */
function isIpv6(text: string): boolean {
  return text.includes(':') && /^[\da-f:.]+$/i.test(text) && URL.canParse(`http://[${text}]`);
}

/** The CIDR in `text` (`10.1.0.5/24`), `undefined` when it is none. v4-mapped v6 is refused: its length is ambiguous. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = '', length = '', ...rest] = text.split('/');
  const ip = parseIp(address);
  if (ip === undefined || rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined;
  if (ip.family === 4 && address.includes(':')) return undefined;
  const prefix = Number(length);
  return prefix > bitsOf(ip.family) ? undefined : { ip, prefix };
}

export function makeIp(family: Family, value: bigint): Ip {
  const text = family === 4 ? Address4.fromBigInt(value).correctForm() : Address6.fromBigInt(value).correctForm();
  return { family, value, text };
}

export function formatCidr(cidr: Cidr): string {
  return `${cidr.ip.text}/${cidr.prefix}`;
}

/** The network's own address: all host bits 0. */
export function networkOf({ ip, prefix }: Cidr): Ip {
  const host = BigInt(bitsOf(ip.family) - prefix);
  return makeIp(ip.family, (ip.value >> host) << host);
}

/** The network's last address: all host bits 1 (the broadcast address of an IPv4 network). */
export function lastOf({ ip, prefix }: Cidr): Ip {
  const host = BigInt(bitsOf(ip.family) - prefix);
  return makeIp(ip.family, ((ip.value >> host) << host) | ((1n << host) - 1n));
}

/** `cidr` with its host bits cleared, as text: `10.1.0.5/24` → `10.1.0.0/24`. */
export function networkText(cidr: Cidr): string {
  return `${networkOf(cidr).text}/${cidr.prefix}`;
}

export function contains(cidr: Cidr, ip: Ip): boolean {
  if (cidr.ip.family !== ip.family) return false;
  const host = BigInt(bitsOf(ip.family) - cidr.prefix);
  return cidr.ip.value >> host === ip.value >> host;
}

export function overlaps(one: Cidr, two: Cidr): boolean {
  return contains(one, two.ip) || contains(two, one.ip);
}
