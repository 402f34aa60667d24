/**
 * Takes away what dead attachments left in the nat table and in connection tracking, so that whoever gets one of their
 * addresses next inherits nothing. What goes is decided by ./owned-plan.ts.
 */
import {
  isPortAddRunning,
  removeOwnRecords,
  removeRecordsWhere,
  STATE_FOLDER,
} from '../attachment/port-record-store.ts';
import { CniError, code, combineErrors } from '../cni/errors.ts';
import { deleteFlowsOf } from '../conntrack.ts';
import { findTool, ToolError } from '../exec.ts';
import { type Family, type Ip, parseCidr, parseIp } from '../net/ip.ts';
import type { ChainOwner } from './chain-name.ts';
import { applyNat, type NatTable, saveNat, TOOLS } from './nat.ts';
import { type DeadRules, planDeadRemoval } from './owned-plan.ts';

export interface Dead {
  /** Of both families, each attachment's all together: rules about them go, and their connections. */
  readonly addresses: readonly string[];
  /** What the addresses are of. Rules of another network stay: it may use the same addresses. */
  readonly network: string;
  /**
   * Containers of which every interface on their network is dead: all that is in their chains goes, whatever its
   * address. An interface whose sibling lives is named by its addresses alone; the sibling's rules then stay.
   */
  readonly owners: readonly ChainOwner[];
  /** Told when connections stay tracked because conntrack is not installed. */
  readonly warn: (message: string) => void;
}

/**
 * Removes rules, connections and portmap's records, by one `iptables-save` and at most one `iptables-restore` per
 * family; one without tools or kernel support has no rules. Throws code 11 before anything is touched when portmap's
 * ADD for an owner runs. Else does all it can, then throws ToolError, code 5 or 11: something may be left, the
 * addresses must not be given again yet. Starts children: never call it while holding a lease lock.
 */
export function removeRulesOf({ addresses, network, owners, warn }: Dead): void {
  refuseRunning(owners);
  const networks = [network, ...owners.map((owner) => owner.network)];
  const ips = addresses.map(parseIp).filter((ip) => ip !== undefined);
  const errors: unknown[] = [];
  for (const family of [4, 6] as const) {
    const own = ips.filter((ip) => ip.family === family).map(({ text }) => text);
    if (own.length + owners.length === 0) continue;
    attempt(errors, () => removeFamily(family, { addresses: own, owners, networks }));
  }
  attempt(errors, () => forgetFlows(ips, warn));
  // They lead to what is left, for another attempt.
  if (errors.length === 0) attempt(errors, () => removeRecords({ ips, owners, networks }));
  if (errors.length > 0) throw combineErrors(errors);
}

function refuseRunning(owners: readonly ChainOwner[]): void {
  const running = owners.find(isPortAddRunning);
  if (running === undefined) return;
  const { network, containerId } = running;
  throw new CniError(code.tryAgainLater, `cannot remove the rules of "${containerId}": its ADD is in progress`, {
    details: `portmap still forwards ports to this container on network "${network}"`,
  });
}

function attempt(errors: unknown[], action: () => void): void {
  try {
    action();
  } catch (error) {
    errors.push(error);
  }
}

function removeFamily(family: Family, dead: DeadRules): void {
  const seen = saveIfSupported(family);
  if (seen !== undefined) applyNat(family, (table) => planDeadRemoval(dead, table ?? seen, family), seen);
}

/** The table; `undefined` when this host cannot have one. Throws ToolError. */
export function saveIfSupported(family: Family): NatTable | undefined {
  if (findTool(TOOLS[family].save) === undefined || findTool(TOOLS[family].restore) === undefined) return undefined;
  try {
    return saveNat(family);
  } catch (error) {
    // Of iptables-legacy: no module, no such family; of iptables-nft: a kernel without nf_tables.
    const cannot = /do you need to insmod|not supported|Could not fetch rule set generation id: Invalid argument/;
    if (error instanceof ToolError && cannot.test(error.stderr)) return undefined;
    throw error;
  }
}

/** Without conntrack the address is given again all the same: connections end by themselves, an empty range does not. */
function forgetFlows(ips: readonly Ip[], warn: Dead['warn']): void {
  if (ips.length === 0) return;
  if (findTool('conntrack') === undefined) {
    warn('old connections to released addresses stay tracked for a while: install the package conntrack');
    return;
  }
  deleteFlowsOf(ips, STATE_FOLDER);
}

interface Gone {
  readonly ips: readonly Ip[];
  readonly owners: readonly ChainOwner[];
  readonly networks: readonly string[];
}

function removeRecords({ ips, owners, networks }: Gone): void {
  for (const owner of owners) removeOwnRecords(owner);
  const texts = new Set(ips.map(({ text }) => text));
  removeRecordsWhere(({ network, targets }) => {
    const own = [targets[4], targets[6]].filter((target) => target !== undefined);
    return (
      networks.includes(network) && own.length > 0 && own.every((target) => texts.has(parseCidr(target)?.ip.text ?? ''))
    );
  });
}
