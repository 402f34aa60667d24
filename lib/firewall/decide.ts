/** Which firewall the rules of this host belong into, as a pure function of what it holds now. */
import { SETS_TABLE } from '../nft/sets.ts';
import { BACKENDS, type BackendName } from './backend.ts';

export interface Choice {
  readonly backend: BackendName;
  /** Part of a sentence, for people: `chain KUBE-SERVICES is there`. */
  readonly why: string;
}

export interface Seen {
  /** Names of the chains in the nat tables; `undefined` when iptables cannot be used. */
  readonly chains: readonly string[] | undefined;
  /** `ip cni_hostport` for each table of nftables; `undefined` when nft cannot be used. */
  readonly tables: readonly string[] | undefined;
}

interface Traces {
  readonly chain: RegExp;
  readonly table: RegExp;
}

/** Of rules for containers, ours and the reference's. */
const CONTAINERS: Traces = { chain: /^CNI-/, table: /^(ip6? cni_hostport|inet cni_plugins_masquerade)$/ };

/** Whose traces count, the first that is found. */
const TRACES: readonly Traces[] = [
  CONTAINERS,
  { chain: /^KUBE-/, table: /^ip6? kube-proxy$/ },
  { chain: /^(PRE|POST)ROUTING_(direct|ZONES)$/, table: /^(ip|ip6|inet) firewalld$/ },
];

/** `undefined` when neither can be used. */
export function decide({ chains, tables }: Seen): Choice | undefined {
  for (const traces of TRACES) {
    const chain = chains?.find((name) => traces.chain.test(name));
    if (chain !== undefined) return { backend: 'iptables', why: `chain ${chain} is there` };
    const table = tables?.find((name) => traces.table.test(name));
    if (table !== undefined) return { backend: 'nftables', why: `table ${table} is there` };
  }
  // As the reference: nftables only where iptables cannot be used.
  if (chains !== undefined) return { backend: 'iptables', why: "it can be used, and nobody's rules say otherwise" };
  return tables === undefined ? undefined : { backend: 'nftables', why: 'iptables cannot be used on this host' };
}

/** Which of them hold rules for containers. */
export function holders({ chains, tables }: Seen): BackendName[] {
  const { chain, table } = CONTAINERS;
  const found = {
    iptables: chains?.some((name) => chain.test(name)),
    nftables: tables?.some((name) => table.test(name)),
    sets: tables?.includes(SETS_TABLE),
  };
  return BACKENDS.filter((backend) => found[backend] === true);
}
