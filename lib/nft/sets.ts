/**
 * Our own layout of rules in nftables, table `inet nodecni`: as many rules with one container as with a thousand, which look
 * up in sets and maps what is to become of a packet. Attachments have elements there; a comment says whose each is.
 */
import { type Family, parseIp } from '../net/ip.ts';
import { type NftElement, type NftTable, NftTransaction } from './transaction.ts';

export const SETS_TABLE: NftTable = 'inet nodecni';

const HOST_PORTS = 'host_ports';
const PREROUTING = 'prerouting';
const OUTPUT = 'output';
const POSTROUTING = 'postrouting';

interface Kind {
  /** As in SetOptions, `ip` for an address of the family. */
  readonly type: string;
  readonly data?: string;
  readonly interval?: boolean;
  /** Of one element, the container's address. */
  readonly address: (element: NftElement) => string;
}

const firstOf = (text: string) => text.split(' . ')[0] ?? '';
const lastOf = (text: string) => text.split(' . ').at(-1) ?? '';

/** Each is there once per family. */
const KINDS = {
  /** Ports of one address of the host. */
  host_address_ports: {
    type: 'ip . inet_proto . inet_service',
    data: 'ip . inet_service',
    address: ({ data }) => firstOf(data),
  },
  /** Ports of every address. */
  host_ports: { type: 'inet_proto . inet_service', data: 'ip . inet_service', address: ({ data }) => firstOf(data) },
  /** What of the latter is for addresses that somebody else forwards. */
  excluded_ports: { type: 'inet_proto . inet_service . ip', interval: true, address: () => '' },
  /** From where to where packets only come back through the host when it puts its own address on them. */
  hairpins: { type: 'ip . ip', address: ({ key }) => lastOf(key) },
  /** To whom everything that is forwarded comes from the host's address. */
  masquerade_all: { type: 'ip', address: ({ key }) => key },
  /** Who is masqueraded on the way out, but for packets to its own network. */
  masqueraded: { type: 'ip', address: ({ key }) => key },
  own_networks: { type: 'ip . ip', interval: true, address: ({ key }) => firstOf(key) },
} as const satisfies { readonly [name: string]: Kind };

export type SetKind = keyof typeof KINDS;

const FAMILIES: readonly Family[] = [4, 6];
const SETS: readonly { readonly kind: SetKind; readonly family: Family }[] = FAMILIES.flatMap((family) =>
  (Object.keys(KINDS) as SetKind[]).map((kind) => ({ kind, family })),
);

/** `host_ports4` */
export function setName(kind: SetKind, family: Family): string {
  return `${kind}${family}`;
}

function isOf(...kinds: readonly SetKind[]): (element: { readonly set: string }) => boolean {
  const names = new Set(kinds.flatMap((kind) => FAMILIES.map((family) => setName(kind, family))));
  return ({ set }) => names.has(set);
}

/** Where one element is all that there can be for a port. */
export const isPort = isOf('host_address_ports', 'host_ports');
/** All others are of forwarded ports. */
export const isOfMasquerade = isOf('masqueraded', 'own_networks');

/** The container's address that `element` is about: canonical, '' where it names none. */
export function addressIn(element: NftElement): string {
  const found = SETS.find(({ kind, family }) => setName(kind, family) === element.set);
  return found === undefined ? '' : (parseIp(KINDS[found.kind].address(element))?.text ?? '');
}

export interface SharedRule {
  readonly chain: string;
  /** As ./rule-text.ts prints it. */
  readonly text: string;
}

/** All rules that there are. Masquerading of forwarded packets comes before own networks are spared. */
export const SHARED_RULES: readonly SharedRule[] = [
  ...[PREROUTING, OUTPUT].map((chain) => ({ chain, text: `fib daddr type local goto ${HOST_PORTS}` })),
  ...inEachFamily(HOST_PORTS, (ip) => [
    `dnat ${ip.name} to ${ip.name} daddr . meta l4proto . th dport map @${ip.set('host_address_ports')}`,
    `meta l4proto . th dport . ${ip.name} daddr @${ip.set('excluded_ports')} return`,
    `dnat ${ip.name} to meta l4proto . th dport map @${ip.set('host_ports')}`,
  ]),
  ...inEachFamily(POSTROUTING, (ip) => [
    `${ip.name} saddr . ${ip.name} daddr @${ip.set('hairpins')} masquerade`,
    `ct status dnat ${ip.name} daddr @${ip.set('masquerade_all')} masquerade`,
    `${ip.name} daddr ${ip.multicast} return`,
    `${ip.name} saddr . ${ip.name} daddr @${ip.set('own_networks')} return`,
    `${ip.name} saddr @${ip.set('masqueraded')} masquerade`,
  ]),
];

interface Words {
  readonly name: 'ip' | 'ip6';
  readonly multicast: string;
  readonly set: (kind: SetKind) => string;
}

function inEachFamily(chain: string, texts: (words: Words) => readonly string[]): SharedRule[] {
  return FAMILIES.flatMap((family) => {
    const name = family === 4 ? 'ip' : 'ip6';
    const multicast = family === 4 ? '224.0.0.0/4' : 'ff00::/8';
    return texts({ name, multicast, set: (kind) => setName(kind, family) }).map((text) => ({ chain, text }));
  });
}

/** Makes all that is shared, as it has to be, whatever was there. Elements stay. */
export function ensureSets(): NftTransaction {
  const transaction = new NftTransaction(SETS_TABLE).addTable('Host ports and masquerading of containers');
  for (const { kind, family } of SETS) {
    const { type, data, interval }: Kind = KINDS[kind];
    const typed = (text: string) => text.replace(/\bip\b/g, `ipv${family}_addr`);
    transaction.addSet(setName(kind, family), {
      type: typed(type),
      ...(data === undefined ? {} : { data: typed(data) }),
      ...(interval === undefined ? {} : { interval }),
    });
  }
  // After all others: a service of Kubernetes goes before a port of the host. Of equals the newest would be asked first.
  transaction
    .addChain(HOST_PORTS)
    .addChain(PREROUTING, { hook: 'type nat hook prerouting priority -99' })
    .addChain(OUTPUT, { hook: 'type nat hook output priority -99' })
    .addChain(POSTROUTING, { hook: 'type nat hook postrouting priority 100' });
  for (const chain of [HOST_PORTS, PREROUTING, OUTPUT, POSTROUTING]) transaction.flushChain(chain);
  for (const { chain, text } of SHARED_RULES) transaction.addRule(chain, text);
  return transaction;
}
