/**
 * What rules forward that no record of ours names, as on a node that ran the reference until just now: pure functions of
 * the tables. Each is given in the shape of a recorded attachment, so that its rules can be removed like those of one.
 */
import { type ChainOwner, chainName, DNAT_CHAIN, isOwnedChain, ownerIn } from '../iptables/chain-name.ts';
import { forwardsIn } from '../iptables/forwards.ts';
import type { NatTable } from '../iptables/nat.ts';
import { optionOf } from '../iptables/rule.ts';
import { bitsOf, type Family } from '../net/ip.ts';
import { type HostportRule, hostportComment } from '../nft/hostports.ts';
import { ownerIn as commentOwnerIn } from '../nft/masquerades.ts';
import { addressIn, type SetKind, setName } from '../nft/sets.ts';
import type { NftElement } from '../nft/transaction.ts';
import { FAMILIES, type Forwarding, type Mapping, targetOf } from './forwarding.ts';

/** By the chains of containers, but for those in `known`. */
export function strangersInNat(table: NatTable, family: Family, known: ReadonlySet<string>): Forwarding[] {
  return [...ownersByChain(table)]
    .filter(([chain]) => !known.has(chain))
    .flatMap(([chain, owner]) => {
      const forwards = forwardsIn(table.get(chain) ?? []);
      return [...new Set(forwards.map(({ address }) => address))].map((address) => {
        const rules = forwards.filter((forward) => forward.address === address).map(({ rule }) => rule);
        return stranger(owner, {
          backend: 'iptables',
          family,
          address,
          mappings: rules.map((rule) => mappingIn(rule, family)),
        });
      });
    });
}

/** The name of the chain tells whether the comment of the rule that leads there is whole. */
function ownersByChain(table: NatTable): Map<string, ChainOwner> {
  const owners = new Map<string, ChainOwner>();
  for (const rule of table.get(DNAT_CHAIN) ?? []) {
    const chain = optionOf(rule, '-j') ?? '';
    const owner = ownerIn(optionOf(rule, '--comment') ?? '');
    if (!isOwnedChain(chain, 'CNI-DN-') || owner === undefined) continue;
    if (chainName('CNI-DN-', owner.network, owner.containerId) === chain) owners.set(chain, owner);
  }
  return owners;
}

function mappingIn(rule: string, family: Family): Mapping {
  return mapping({
    protocol: optionOf(rule, '-p'),
    hostPort: optionOf(rule, '--dport'),
    hostIp: optionOf(rule, '-d')?.replace(/\/.*$/, ''),
    containerPort: /:(\d+)$/.exec(optionOf(rule, '--to-destination') ?? '')?.[1],
    family,
  });
}

/** A rule carries the container's ID alone: whose it is, is told by that and by where it sends to. */
export function strangersInNft(
  rules: readonly HostportRule[],
  family: Family,
  known: ReadonlySet<string>,
): Forwarding[] {
  const found = new Map<string, { containerId: string; address: string; mappings: Mapping[] }>();
  for (const { comment, target, text } of rules) {
    const key = holding(comment, target);
    const [, hostIp, protocol, hostPort, containerPort] =
      /(?:ip6? daddr (\S+) )?(tcp|udp|sctp) dport (\d+) dnat to \S+:(\d+)$/.exec(text) ?? [];
    if (comment === '' || protocol === undefined || known.has(key)) continue;
    const one = found.get(key) ?? { containerId: comment, address: target, mappings: [] };
    one.mappings.push(mapping({ protocol, hostPort, hostIp, containerPort, family }));
    found.set(key, one);
  }
  return [...found.values()].map(({ containerId, address, mappings }) =>
    stranger({ network: '', containerId }, { backend: 'nftables', family, address, mappings }),
  );
}

/** A cut comment does not say whose an element is: then nobody can say whether that one lives. */
export function strangersInSets(elements: readonly NftElement[], known: ReadonlySet<string>): Forwarding[] {
  const unknown = elements.filter(({ comment }) => !known.has(comment));
  return [...Map.groupBy(unknown, ({ comment }) => comment).values()].flatMap((own) => {
    const owner = own[0] === undefined ? undefined : commentOwnerIn(own[0]);
    return owner === undefined ? [] : FAMILIES.flatMap((family) => strangerInSets(owner, own, family));
  });
}

function strangerInSets(owner: ChainOwner, own: readonly NftElement[], family: Family): Forwarding[] {
  const of = (...kinds: readonly SetKind[]) => {
    const names = kinds.map((kind) => setName(kind, family));
    return own.filter(({ set }) => names.includes(set));
  };
  const ports = of('host_address_ports', 'host_ports');
  const [address, ...others] = new Set(ports.map(addressIn));
  if (address === undefined || others.length > 0) return [];
  const mappings = ports.map(({ key, data }) => {
    const [hostPort, protocol, hostIp] = key.split(' . ').toReversed();
    return mapping({ protocol, hostPort, hostIp, containerPort: data.split(' . ')[1], family });
  });
  return [
    {
      ...stranger(owner, { backend: 'sets', family, address, mappings }),
      snat: of('hairpins').length > 0,
      masqAll: of('masquerade_all').length > 0,
    },
  ];
}

/** The keys under which strangersInNft() knows the rules of `forwarding`. */
export function holdingsOf(forwarding: Forwarding): string[] {
  return FAMILIES.flatMap((family) => {
    const address = targetOf(forwarding, family)?.ip.text;
    return address === undefined ? [] : [holding(hostportComment(forwarding.containerId), address)];
  });
}

function holding(comment: string, address: string): string {
  return `${comment}\n${address}`;
}

interface Words {
  readonly protocol: string | undefined;
  readonly hostPort: string | undefined;
  readonly hostIp: string | undefined;
  readonly containerPort: string | undefined;
  readonly family: Family;
}

/** A rule without an address of the host counts for its own family, whatever others the container has. */
function mapping({ protocol, hostPort, hostIp, containerPort, family }: Words): Mapping {
  const spelling = protocol === 'udp' || protocol === 'sctp' ? protocol : 'tcp';
  return {
    protocol: spelling,
    spelling,
    hostPort: Number(hostPort),
    containerPort: Number(containerPort),
    hostIp: hostIp ?? (family === 4 ? '0.0.0.0' : '::'),
  };
}

interface Held {
  readonly backend: Forwarding['backend'];
  readonly family: Family;
  readonly address: string;
  readonly mappings: readonly Mapping[];
}

function stranger(owner: ChainOwner, { backend, family, address, mappings }: Held): Forwarding {
  return {
    ifname: '',
    ...owner,
    backend,
    targets: { [family]: `${address}/${bitsOf(family)}` },
    mappings,
    snat: true,
    masqAll: false,
    markMasqBit: 0,
    conditions: { 4: [], 6: [] },
  };
}
