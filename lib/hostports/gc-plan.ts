/** What GC takes away, as a pure function of the valid attachments, the records and the nat tables. */
import type { ValidAttachment } from '../cni/valid-attachments.ts';
import type { UdpFlows } from '../conntrack.ts';
import { type ChainOwner, chainName, isOwnedChain, ownerIn } from '../iptables/chain-name.ts';
import { forwardsIn } from '../iptables/forwards.ts';
import type { NatTable } from '../iptables/nat.ts';
import { optionOf } from '../iptables/rule.ts';
import type { Family } from '../net/ip.ts';
import type { Forwarding } from './forwarding.ts';

export interface Seen {
  readonly network: string;
  readonly valid: readonly ValidAttachment[];
  /** Of every network. */
  readonly records: readonly Forwarding[];
  readonly tables: ReadonlyMap<Family, NatTable>;
}

/** A container without any valid attachment. */
export interface DeadContainer extends ChainOwner {
  readonly chains: readonly string[];
}

export interface Garbage {
  readonly containers: readonly DeadContainer[];
  /**
   * What goes by its record: what containers with another, valid attachment had forwarded to an interface that is not, and
   * all that is in nftables, where containers have no chains and rules without a record no network.
   */
  readonly recorded: readonly Forwarding[];
}

export function findGarbage({ network, valid, records, tables }: Seen): Garbage {
  const own = records.filter((record) => record.network === network);
  const living = new Set(valid.map(({ containerID }) => containerID));
  const isLiving = ({ containerId }: ChainOwner) => living.has(containerId);
  const validKeys = new Set(valid.map(({ containerID, ifname }) => `${containerID}\n${ifname}`));
  const hasChains = (record: Forwarding) => record.backend === 'iptables' && !isLiving(record);
  return {
    containers: [...own.filter(hasChains).map(whole), ...unrecorded({ network, own, living, tables })],
    recorded: own.filter((record) => !hasChains(record) && !validKeys.has(`${record.containerId}\n${record.ifname}`)),
  };
}

/** A comment may be cut: whose chain it is, and that it is nobody's whom we know, is told by the chain's name. */
function unrecorded({ network, own, living, tables }: Omit<Seen, 'valid' | 'records'> & Known): DeadContainer[] {
  const known = [...own, ...[...living].map((containerId) => ({ network, containerId }))];
  const knownChains = new Set(known.flatMap(chainsOf));
  const found = [...tables.values()].flatMap((table) => ownersIn(table, network));
  const chains = new Map(found.map(({ chain, containerId }) => [chain, containerId]));
  return [...chains]
    .filter(([chain]) => !knownChains.has(chain))
    .map(([chain, containerId]) => ({ network, containerId, chains: [chain] }));
}

interface Known {
  readonly own: readonly Forwarding[];
  readonly living: ReadonlySet<string>;
}

function whole({ network, containerId }: ChainOwner): DeadContainer {
  return { network, containerId, chains: chainsOf({ network, containerId }) };
}

/** The container's chain, and the one that the reference had for packets from localhost before 0.8. */
function chainsOf({ network, containerId }: ChainOwner): string[] {
  return [chainName('CNI-DN-', network, containerId), chainName('CNI-SN-', network, containerId)];
}

/** By the comments of the rules that lead to chains. */
function ownersIn(table: NatTable, network: string): { chain: string; containerId: string }[] {
  const rules = ['CNI-HOSTPORT-DNAT', 'CNI-HOSTPORT-SNAT'].flatMap((chain) => table.get(chain) ?? []);
  return rules.flatMap((rule) => {
    const chain = optionOf(rule, '-j') ?? '';
    const owner = ownerIn(optionOf(rule, '--comment') ?? '');
    const isOurs = isOwnedChain(chain, 'CNI-DN-') || isOwnedChain(chain, 'CNI-SN-');
    return isOurs && owner?.network === network ? [{ chain, containerId: owner.containerId }] : [];
  });
}

/** The datagrams that `chains` forward: the kernel goes on sending them to the container after the rules are gone. */
export function flowsThrough(chains: readonly string[], table: NatTable, family: Family): UdpFlows[] {
  const rules = chains.flatMap((chain) => table.get(chain) ?? []);
  return forwardsIn(rules.filter((rule) => optionOf(rule, '-p') === 'udp')).map(({ rule, address }) => ({
    family,
    hostPort: Number(optionOf(rule, '--dport')),
    hostIp: optionOf(rule, '-d')?.replace(/\/.*$/, ''),
    answeredBy: address,
  }));
}
