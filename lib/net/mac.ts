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
