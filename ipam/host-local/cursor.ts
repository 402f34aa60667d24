/** The round robin's memory: `last_reserved_ip.N` holds the address that range set N gave last. Only a hint. */
import { replaceFile } from '../../lib/attachment/draft.ts';
import { CURSOR_PREFIX } from '../../lib/attachment/lease-store.ts';
import type { Store } from '../../lib/attachment/store.ts';
import { hasErrno, messageOf } from '../../lib/cni/errors.ts';
import { readSmallFile } from '../../lib/linux/small-file.ts';
import { type Ip, parseIp } from '../../lib/net/ip.ts';

const MAX_BYTES = 64;

/** The address that set number `index` gave last; `undefined` when there is none or the file is damaged. */
export function readCursor(store: Store, index: number): Ip | undefined {
  try {
    const text = readSmallFile(cursorPath(store, index), { maxBytes: MAX_BYTES, follow: false });
    return text === undefined ? undefined : parseIp(text);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) store.warn(`cannot read ${cursorPath(store, index)}: ${messageOf(error)}`);
    return undefined;
  }
}

/** Remembers `ip`. A failure is warned of and no more: the lease counts, and only the order suffers. */
export function writeCursor(store: Store, index: number, ip: Ip): void {
  try {
    replaceFile(store, cursorPath(store, index), ip.text);
  } catch (error) {
    store.warn(`cannot write ${cursorPath(store, index)}: ${messageOf(error)}`);
  }
}

function cursorPath(store: Store, index: number): string {
  return `${store.leases}/${CURSOR_PREFIX}${index}`;
}
