/**
 * The nftables rules of one attachment and family, in the reference's layout and in the text that `nft list` prints: one
 * rule per forwarded port, and those that put the host's address on packets which would not come back otherwise. README.md
 * draws it.
 */

import type { Cidr, Family } from '../net/ip.ts';
import { HOSTIP_HOSTPORTS, HOSTPORT_TABLES, HOSTPORTS, hostportComment, MASQUERADING } from '../nft/hostports.ts';
import { type NftTable, NftTransaction } from '../nft/transaction.ts';
import { type Forwarding, type Mapping, mappingsOf, specificHostIp, targetOf } from './forwarding.ts';

const ALL = 'hostports_all';
/** Destination NAT only of what is for this host itself: a port of another host is none of ours. */
const ENTRY = `fib daddr type local jump ${ALL}`;

export interface OwnedRule {
  readonly chain: string;
  /** Without the conditions of the configuration, whose words nft prints in a form of its own. */
  readonly text: string;
  /** Stand before it; '' for none. */
  readonly conditions: string;
}

export interface SharedRule {
  readonly chain: string;
  readonly text: string;
}

/** Everything of one family. */
export interface NftRules {
  readonly table: NftTable;
  /** Of all the container's rules. */
  readonly comment: string;
  readonly owned: readonly OwnedRule[];
  /** Chains with their rules, but for containers' own. */
  readonly shared: readonly SharedRule[];
}

/** The rules of `forwarding` in `family`; `undefined` when the attachment has no address of it, or nothing to forward. */
export function nftRulesOf(forwarding: Forwarding, family: Family): NftRules | undefined {
  const target = targetOf(forwarding, family);
  if (target === undefined || forwarding.mappings.length === 0) return undefined;
  const conditions = [...excluding(forwarding, family), ...forwarding.conditions[family]].join(' ');
  const ports = mappingsOf(forwarding, family).map((mapping) => portRule(mapping, target));
  return {
    table: HOSTPORT_TABLES[family],
    comment: hostportComment(forwarding.containerId),
    owned: [
      ...ports.map((text) => ({ chain: HOSTPORTS, text, conditions })),
      ...masqueradeRules(forwarding, target).map((text) => ({ chain: MASQUERADING, text, conditions: '' })),
    ],
    shared: [
      { chain: ALL, text: `jump ${HOSTIP_HOSTPORTS}` },
      { chain: ALL, text: `jump ${HOSTPORTS}` },
      { chain: 'prerouting', text: ENTRY },
      { chain: 'output', text: ENTRY },
    ],
  };
}

function excluding({ excludes }: Forwarding, family: Family): string[] {
  const networks = excludes?.[family].join(', ') ?? '';
  return networks === '' ? [] : [`${family === 4 ? 'ip' : 'ip6'} daddr != { ${networks} }`];
}

function portRule(mapping: Mapping, { ip: { family, text } }: Cidr): string {
  const hostIp = specificHostIp(mapping);
  const destination = hostIp === undefined ? '' : `${family === 4 ? 'ip' : 'ip6'} daddr ${hostIp} `;
  const to = `${family === 4 ? text : `[${text}]`}:${mapping.containerPort}`;
  return `${destination}${mapping.protocol} dport ${mapping.hostPort} dnat to ${to}`;
}

/** Whose packets come back through the host only if it puts its own address on them. */
function masqueradeRules({ snat, masqAll }: Forwarding, { ip: { family, text } }: Cidr): string[] {
  if (!snat) return [];
  const ip = family === 4 ? 'ip' : 'ip6';
  const own = `${ip} saddr ${text} ${ip} daddr ${text} masquerade`;
  const local = family === 4 ? [`ip saddr 127.0.0.1 ip daddr ${text} masquerade`] : [];
  return [own, ...local, ...(masqAll ? [`ct status dnat ${ip} daddr ${text} masquerade`] : [])];
}

/** Makes all that is shared, as it has to be, whatever was there. Containers' rules stay. */
export function ensureShared({ table, shared, owned }: NftRules): NftTransaction {
  const transaction = new NftTransaction(table)
    .addTable('CNI portmap plugin')
    .addChain(HOSTPORTS)
    .addChain(HOSTIP_HOSTPORTS)
    .addChain(ALL)
    .addChain('prerouting', { hook: 'type nat hook prerouting priority -100' })
    .addChain('output', { hook: 'type nat hook output priority -100' });
  if (owned.some(({ chain }) => chain === MASQUERADING)) {
    transaction.addChain(MASQUERADING, { hook: 'type nat hook postrouting priority 100' });
  }
  for (const chain of new Set(shared.map((rule) => rule.chain))) transaction.flushChain(chain);
  for (const { chain, text } of shared) transaction.addRule(chain, text);
  return transaction;
}

export function addOwned(transaction: NftTransaction, { owned, comment }: NftRules): NftTransaction {
  for (const { chain, text, conditions } of owned)
    transaction.addRule(chain, `${conditions} ${text}`.trimStart(), comment);
  return transaction;
}
