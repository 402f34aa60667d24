/**
 * The iptables rules of one attachment and family, in the reference's layout and in the text of iptables-save: who goes
 * to a forwarded port of the host is led through the container's own chain, marked when masquerading is needed, and
 * sent to the container. plugins/portmap/README.md draws it.
 */
import { chainName, DNAT_CHAIN } from '../iptables/chain-name.ts';
import { comment, hostCidr, word } from '../iptables/rule.ts';
import { type Cidr, type Family, networkText } from '../net/ip.ts';
import { type Forwarding, type Mapping, mappingsOf, specificHostIp, targetOf } from './forwarding.ts';

const SETMARK_CHAIN = 'CNI-HOSTPORT-SETMARK';
const MASQ_CHAIN = 'CNI-HOSTPORT-MASQ';

/** How many ports xt_multiport takes. */
const MAX_PORTS = 15;

export interface SharedRule {
  readonly chain: string;
  readonly rule: string;
  /** First in its chain: what a bridge masquerades comes later there, and would end the walk. */
  readonly first: boolean;
}

/** What one mapping puts into the container's chain: the marks must come before the rule that ends the walk. */
export interface MappingRules {
  readonly marks: readonly string[];
  readonly dnat: string;
}

export interface EntryRule {
  readonly rule: string;
  /** The rule without the conditions of the configuration, whose words the kernel prints in a form of its own. */
  readonly fixedPart: string;
}

export interface FamilyRules {
  /** Chains and rules that all attachments of all containers use. */
  readonly sharedChains: readonly string[];
  readonly sharedRules: readonly SharedRule[];
  /** The container's chain; a second interface of it on the same network has the same. */
  readonly chain: string;
  /** First in it: what is for these addresses of the host is forwarded by somebody else. */
  readonly excludes: readonly string[];
  readonly mappings: readonly MappingRules[];
  /** Rules of CNI-HOSTPORT-DNAT that lead to the chain. */
  readonly entries: readonly EntryRule[];
  /** Where its rules send to. */
  readonly address: string;
}

/** The rules of `forwarding` in `family`; `undefined` when the attachment has no address of it, or nothing to forward. */
export function rulesOf(forwarding: Forwarding, family: Family): FamilyRules | undefined {
  const target = targetOf(forwarding, family);
  if (target === undefined || forwarding.mappings.length === 0) return undefined;
  const chain = dnatChain(forwarding);
  return {
    ...sharedRules(forwarding),
    chain,
    excludes: (forwarding.excludes?.[family] ?? []).map((network) => `-d ${network} -j RETURN`),
    mappings: mappingsOf(forwarding, family).map((mapping) => mappingRules(forwarding, mapping, target)),
    entries: entryRules(forwarding, family, chain),
    address: target.ip.text,
  };
}

export function dnatChain({ network, containerId }: { network: string; containerId: string }): string {
  return chainName('CNI-DN-', network, containerId);
}

/** The rules of the container's chain, in order, each once. */
export function chainRules({ excludes, mappings }: FamilyRules): string[] {
  return [...new Set([...excludes, ...mappings.flatMap(({ marks, dnat }) => [...marks, dnat])])];
}

function sharedRules({ snat, externalSetMarkChain, markMasqBit }: Forwarding) {
  const jump = `-m addrtype --dst-type LOCAL -j ${DNAT_CHAIN}`;
  const jumps = ['PREROUTING', 'OUTPUT'].map((chain) => ({ chain, rule: jump, first: false }));
  if (!snat || externalSetMarkChain !== undefined) return { sharedChains: [DNAT_CHAIN], sharedRules: jumps };
  const bit = `0x${(2 ** markMasqBit).toString(16)}`;
  const mark = `${comment('CNI portfwd masquerade mark')} -j MARK --set-xmark ${bit}/${bit}`;
  const toMasq = `${comment('CNI portfwd requiring masquerade')} -j ${MASQ_CHAIN}`;
  return {
    sharedChains: [SETMARK_CHAIN, MASQ_CHAIN, DNAT_CHAIN],
    sharedRules: [
      { chain: SETMARK_CHAIN, rule: mark, first: false },
      { chain: MASQ_CHAIN, rule: `-m mark --mark ${bit}/${bit} -j MASQUERADE`, first: false },
      { chain: 'POSTROUTING', rule: toMasq, first: true },
      ...jumps,
    ],
  };
}

function mappingRules(forwarding: Forwarding, mapping: Mapping, target: Cidr): MappingRules {
  const { family } = target.ip;
  const hostIp = specificHostIp(mapping);
  const destination = hostIp === undefined ? '' : `-d ${hostCidr(hostIp, family)} `;
  const matches = `${destination}-p ${mapping.protocol} -m ${mapping.protocol} --dport ${mapping.hostPort}`;
  const to = `${family === 4 ? target.ip.text : `[${target.ip.text}]`}:${mapping.containerPort}`;
  return {
    marks: markedSources(forwarding, target).map((source) => `${source}${matches} -j ${markChain(forwarding)}`),
    dnat: `${matches} -j DNAT --to-destination ${to}`,
  };
}

function markChain({ externalSetMarkChain }: Forwarding): string {
  return word(externalSetMarkChain ?? SETMARK_CHAIN);
}

/** Whose packets come back through the host only if it puts its own address on them. */
function markedSources({ snat, masqAll }: Forwarding, target: Cidr): string[] {
  if (!snat) return [];
  if (masqAll) return [''];
  const ownNetwork = `-s ${networkText(target)} `;
  return target.ip.family === 4 ? [ownNetwork, '-s 127.0.0.1/32 '] : [ownNetwork];
}

function entryRules({ network, containerId, mappings, conditions }: Forwarding, family: Family, chain: string) {
  const note = comment(shortened(`dnat name: "${network}" id: "${containerId}"`));
  const narrowed = conditions[family].map((text) => `${word(text)} `).join('');
  return portGroups(mappings).map(({ protocol, ports }) => {
    const matches = `-p ${protocol} ${note} -m multiport --dports ${ports.join(',')}`;
    return { rule: `${matches} ${narrowed}-j ${chain}`, fixedPart: `${matches} -j ${chain}` };
  });
}

/** A comment that is too long, as the reference cuts it; of its three dots the kernel has room for two. */
function shortened(text: string): string {
  return text.length > 255 ? `${text.slice(0, 253)}...` : text;
}

/** The host ports of all mappings, by protocol as spelled and in that order, at most as many together as one rule takes. */
function portGroups(mappings: readonly Mapping[]) {
  const spellings = [...new Set(mappings.map(({ spelling }) => spelling))].sort();
  return spellings.flatMap((spelling) => {
    const ports = mappings.filter((mapping) => mapping.spelling === spelling).map(({ hostPort }) => hostPort);
    const starts = ports.map((_, index) => index).filter((index) => index % MAX_PORTS === 0);
    return starts.map((start) => ({ protocol: spelling.toLowerCase(), ports: ports.slice(start, start + MAX_PORTS) }));
  });
}
