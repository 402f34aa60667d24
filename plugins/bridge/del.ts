/** DEL: copes with any half-built state, does all it can, then reports everything. */
import { rememberDeleted, wasDeleted } from '../../lib/attachment/deleted.ts';
import { findLeases } from '../../lib/attachment/find.ts';
import { recordOf, storeOf } from '../../lib/attachment/of-call.ts';
import { removeRecordOf, waitWhileAdding } from '../../lib/attachment/record-handle.ts';
import { type Store, storeExists } from '../../lib/attachment/store.ts';
import { combineErrors } from '../../lib/cni/errors.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import { prevResultIfReadable } from '../../lib/cni/prev-result.ts';
import { findTool } from '../../lib/exec.ts';
import { type Cidr, formatCidr } from '../../lib/net/ip.ts';
import { removeSpoofChecks } from '../../lib/nft/mac-spoof.ts';
import { detach, type Known, recordedAddresses } from './detach.ts';
import { leavingPorts } from './host-ports.ts';
import { askIpam } from './ipam.ts';
import type { Addresses } from './masquerade.ts';
import { currentRecord, firewallsOf, ownerOf } from './recorded.ts';
import { besideRules, removeRules } from './rules.ts';
import { type BridgeConfig, parseConfig } from './schema.ts';

/**
 * Link and rules, then lease: an address must not be given again while its old holder can answer for it or a rule still
 * speaks of it. Every step is tried; the lease stays when the link does, the record when anything does.
 */
export async function del(call: Call): Promise<void> {
  const config = parseConfig(call);
  const store = storeOf(call);
  await waitWhileAdding(store, call, call.host);
  const errors: unknown[] = [];
  const attempt: Attempt = async (action) => {
    try {
      await action();
    } catch (error) {
      errors.push(error);
    }
  };
  const { linkIsGone } = await takeApart(call, { config, store, attempt });
  // The record stays ours to remove: without it a second try would not know what is left.
  const record = recordOf(call, store, { containerNetns: '', former: [], firewall: '' });
  if (linkIsGone) await attempt(() => askIpam({ ...call, record }, config, 'DEL'));
  if (errors.length > 0) throw combineErrors(errors);
  removeRecordOf(store, call);
  rememberDeleted(store, call);
}

type Attempt = (action: () => unknown) => Promise<void>;

interface Deleting {
  readonly config: BridgeConfig;
  readonly store: Store;
  readonly attempt: Attempt;
}

/** What the kernel has of the attachment. Rules go beside the link where addresses are known: both take their time. */
async function takeApart(call: Call, { config, store, attempt }: Deleting): Promise<{ linkIsGone: boolean }> {
  const previous = prevResultIfReadable(call.config);
  const known: Known = { record: currentRecord(call, store, previous), previous };
  const recorded = recordedAddresses(known, call.ifname);
  let found: Addresses | undefined;
  const firewalls = firewallsOf(known.record, config);
  const ports = leavingPorts(call);
  const departing = { owner: ownerOf(call), firewalls };
  const removeFirst =
    recorded.length > 0
      ? () => removeRules(config, { ...departing, addresses: { only: recorded }, ports })
      : async () => ports?.remove(undefined);
  const removeLink = () => {
    found = detach(call, { ...known, store, bridge: config.bridge });
  };
  await attempt(() => besideRules(call.host, removeFirst, removeLink));
  const linkIsGone = found !== undefined;
  let isRepeated = false;
  await attempt(() => {
    isRepeated = known.record === undefined && found !== undefined && 'allBut' in found && isDeleted(call, store);
  });
  if (isRepeated) return { linkIsGone };
  const left = without(recorded, found ?? { allBut: [] });
  if (left !== undefined) await attempt(() => removeRules(config, { ...departing, addresses: left, ports: undefined }));
  if (config.macSpoofCheck || known.record?.spoofCheck === true) await attempt(() => allowSpoofing(call));
  return { linkIsGone };
}

/** What is left of `addresses` to take rules away of; `undefined` for nothing. */
function without(done: readonly Cidr[], addresses: Addresses): Addresses | undefined {
  if (done.length === 0) return addresses;
  const texts = new Set(done.map(formatCidr));
  const only = 'only' in addresses ? addresses.only.filter((cidr) => !texts.has(formatCidr(cidr))) : [];
  return only.length === 0 ? undefined : { only };
}

/** Without nft there is nobody who could take rules away, and no later try would find more. */
function allowSpoofing(call: Call): void {
  if (findTool('nft') === undefined) call.host.warn('rules against spoofed MAC addresses may stay: nft is gone');
  else removeSpoofChecks([call]);
}

/** Deleted, and not made again since by a plugin that does not know of that: the reference's leaves a lease. */
function isDeleted(call: Call, store: Store): boolean {
  if (!wasDeleted(store, call)) return false;
  return !storeExists(store) || findLeases(store, call, { canWrite: false }).exact.length === 0;
}
