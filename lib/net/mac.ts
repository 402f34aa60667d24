/** MAC addresses as text: lower case, colons (`02:42:ac:11:00:02`). */
import { randomHex } from '../linux/random.ts';

/** `text` (`02:…`, `02-…` or `0242.ac11.0002`, as in Go) in canonical form; `undefined` when it is no MAC address or one that an interface cannot have. */
export function parseMac(text: string): string | undefined {
  const dotted = /^[0-9a-f]{4}(\.[0-9a-f]{4}){2}$/i.test(text);
  const mac = (dotted ? text.replaceAll('.', '').replace(/..\B/g, '$&:') : text.replaceAll('-', ':')).toLowerCase();
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) return undefined;
  const first = Number.parseInt(mac.slice(0, 2), 16);
  return (first & 1) === 1 || mac === '00:00:00:00:00:00' ? undefined : mac;
}

/** A random unicast, locally administered address. */
export function randomMac(): string {
  const [first = '', ...rest] = randomHex(6).match(/../g) ?? [];
  const unicast = (Number.parseInt(first, 16) & 0xfe) | 0x02;
  return [unicast.toString(16).padStart(2, '0'), ...rest].join(':');
}

/** The IPv6 address that a link makes itself of its MAC address `mac` (RFC 4291 appendix A: EUI-64). */
export function linkLocalAddress(mac: string): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac.split(':').map((byte) => Number.parseInt(byte, 16));
  const groups = [((a ^ 0x02) << 8) | b, (c << 8) | 0xff, 0xfe00 | d, (e << 8) | f];
  return `fe80::${groups.map((group) => group.toString(16)).join(':')}`;
}
