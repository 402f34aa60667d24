/**
 * Takes away what dead attachments left in any firewall and in connection tracking, so that whoever gets one of their
 * addresses next inherits nothing. What goes is decided by ../iptables/owned-plan.ts, ../nft/owned-plan.ts and
 * ../nft/sets-plan.ts.
 */
import {
  isPortAddRunning,
  readAllRecords,
  removeOwnRecords,
  removeRecordsWhere,
  STATE_FOLDER,
} from '../attachment/port-record-store.ts';
import { CniError, code, combineErrors } from '../cni/errors.ts';
import { deleteFlowsOf } from '../conntrack.ts';
import { findTool } from '../exec.ts';
import type { ChainOwner } from '../iptables/chain-name.ts';
import { applyNat, saveIfSupported } from '../iptables/nat.ts';
import { planDeadRemoval } from '../iptables/owned-plan.ts';
import { type Ip, parseCidr, parseIp } from '../net/ip.ts';
import { removeDeadRules } from '../nft/owned.ts';
import type { Claim } from '../nft/owned-plan.ts';
import { removeDeadElements } from '../nft/owned-sets.ts';
import { BACKENDS, type BackendName } from './backend.ts';
import { backendsInUse } from './choice.ts';

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
  /** Look into every firewall that can be, not only those in use as far as known. */
  readonly everywhere?: boolean;
  /** Told when connections stay tracked because conntrack is not installed. */
  readonly warn: (message: string) => void;
}

/**
 * Removes rules, connections and portmap's records, by one look and at most one transaction per family; a firewall or
 * family without tools or kernel support has no rules. Throws code 11 before anything is touched when portmap's ADD for
 * an owner runs. Else does all it can, then throws ToolError, code 5 or 11: something may be left, the addresses must
 * not be given again yet. Starts children: never call it while holding a lease lock.
 */
export function removeRulesOf({ addresses, network, owners, everywhere = false, warn }: Dead): void {
  refuseRunning(owners);
  const networks = [network, ...owners.map((owner) => owner.network)];
  const ips = addresses.map(parseIp).filter((ip) => ip !== undefined);
  const errors: unknown[] = [];
  for (const backend of backendsInUse(...(everywhere ? BACKENDS : []))) {
    REMOVALS[backend]({ ips, owners, networks }, errors);
  }
  attempt(errors, () => forgetFlows(ips, warn));
  // They lead to what is left, for another attempt.
  if (errors.length === 0) attempt(errors, () => removeRecords({ ips, owners, networks }));
  if (errors.length > 0) throw combineErrors(errors);
}

const REMOVALS: { readonly [B in BackendName]: (gone: Gone, errors: unknown[]) => void } = {
  iptables({ ips, owners, networks }, errors) {
    for (const family of [4, 6] as const) {
      const addresses = ips.filter((ip) => ip.family === family).map(({ text }) => text);
      if (addresses.length + owners.length === 0) continue;
      attempt(errors, () => {
        const seen = saveIfSupported(family);
        const dead = { addresses, owners, networks };
        if (seen !== undefined) applyNat(family, (table) => planDeadRemoval(dead, table ?? seen, family), seen);
      });
    }
  },
  nftables({ ips, owners, networks }, errors) {
    const addresses = ips.map(({ text }) => text);
    attempt(errors, () => removeDeadRules({ addresses, owners, networks }, claims()));
  },
  sets({ ips, owners, networks }, errors) {
    const addresses = ips.map(({ text }) => text);
    attempt(errors, () => removeDeadElements({ addresses, owners, networks }));
  },
};

/** Where containers are known to have ports forwarded to. */
function claims(): Claim[] {
  return readAllRecords().map(({ network, containerId, targets }) => {
    const addresses = [targets[4], targets[6]].flatMap((target) => parseCidr(target ?? '')?.ip.text ?? []);
    return { network, containerId, addresses };
  });
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
