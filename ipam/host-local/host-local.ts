/** host-local: IP address management from ranges in the configuration, with leases on this host's disk (README.md). */
import { collectInvalid } from '../../lib/attachment/collect.ts';
import { findLeases } from '../../lib/attachment/find.ts';
import { isSeen, markSeen } from '../../lib/attachment/index.ts';
import { release } from '../../lib/attachment/lease-store.ts';
import { removeRecordOf, waitWhileAdding } from '../../lib/attachment/record-handle.ts';
import { storeAt, storeExists } from '../../lib/attachment/store.ts';
import { withStoreLock } from '../../lib/attachment/store-lock.ts';
import { combineErrors } from '../../lib/cni/errors.ts';
import type { Call, Plugin } from '../../lib/cni/plugin.ts';
import { prevResultIfReadable } from '../../lib/cni/prev-result.ts';
import { validAttachments } from '../../lib/cni/valid-attachments.ts';
import { add } from './add.ts';
import { check } from './check.ts';
import { parseLocation } from './schema.ts';
import { status } from './status.ts';

export const hostLocal: Plugin = { name: 'host-local', add, check, del, gc, status };

/**
 * Releases every lease of the attachment, wherever it lies: the ranges may be others by now, or come with ADD only. No
 * folder, no lease: success. Throws code 5, 7 and 11.
 */
async function del(call: Call): Promise<void> {
  const store = storeAt(parseLocation(call.config), call.host.warn);
  const addresses = (prevResultIfReadable(call.config)?.ips ?? []).map(({ address }) => address);
  // Ours to look at and to remove only where no caller of ours does.
  const isOwn = call.record === undefined;
  if (isOwn) await waitWhileAdding(store, call, call.host);
  if (!storeExists(store)) return;
  await withStoreLock(store, call.host, async () => {
    const wasSeen = isSeen(store);
    const { exact, byContainer } = findLeases(store, call, { addresses, canWrite: true });
    const names = exact.length > 0 ? exact : byContainer;
    release(store, names);
    if (isOwn) removeRecordOf(store, call);
    if (names.length > 0 || !wasSeen) markSeen(store);
  });
}

/** Frees what the runtime does not list. It needs no ranges, which come with ADD only. Throws code 5, 7, 11 and 102. */
async function gc(call: Call): Promise<void> {
  const valid = validAttachments(call.config);
  const store = storeAt(parseLocation(call.config), call.host.warn);
  const errors = await collectInvalid(store, { valid, host: call.host });
  if (errors.length > 0) throw combineErrors(errors);
}
