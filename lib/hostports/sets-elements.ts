/** The elements of one attachment in the table of ../nft/sets.ts (pure). */
import { claimsOf } from '../attachment/port-claims.ts';
import { type Cidr, contains, type Family, parseCidr, parseIp } from '../net/ip.ts';
import { masqueradeComment } from '../nft/masquerades.ts';
import { networkWord } from '../nft/rule-text.ts';
import { setName } from '../nft/sets.ts';
import { placeOf } from '../nft/sets-plan.ts';
import type { NftElement } from '../nft/transaction.ts';
import { FAMILIES, type Forwarding, type Mapping, mappingsOf, specificHostIp, targetOf } from './forwarding.ts';

/** What the attachment wants, of two mappings of one port the first. */
export function elementsOf(forwarding: Forwarding): NftElement[] {
  const comment = masqueradeComment(forwarding);
  const found = FAMILIES.flatMap((family) => {
    const target = targetOf(forwarding, family);
    const mappings = mappingsOf(forwarding, family);
    if (target === undefined || mappings.length === 0) return [];
    const excluded = excludedNetworks(forwarding, family);
    const isForOthers = (mapping: Mapping) => isIn(excluded, specificHostIp(mapping));
    return [
      ...mappings.filter((mapping) => !isForOthers(mapping)).map((mapping) => portElement(mapping, target)),
      ...excludedPorts(mappings, excluded).map((key) => ({ set: setName('excluded_ports', family), key, data: '' })),
      ...masqueraded(forwarding, target),
    ];
  });
  const byPlace = new Map(found.toReversed().map((element) => [placeOf(element), element]));
  return [...byPlace.values()].reverse().map((element) => ({ ...element, comment }));
}

type Place = Omit<NftElement, 'comment'>;

function portElement(mapping: Mapping, { ip: { family, text } }: Cidr): Place {
  const hostIp = specificHostIp(mapping);
  const port = `${mapping.protocol} . ${mapping.hostPort}`;
  const data = `${text} . ${mapping.containerPort}`;
  return hostIp === undefined
    ? { set: setName('host_ports', family), key: port, data }
    : { set: setName('host_address_ports', family), key: `${hostIp} . ${port}`, data };
}

/** Whose packets come back through the host only if it puts its own address on them. */
function masqueraded({ snat, masqAll }: Forwarding, { ip: { family, text } }: Cidr): Place[] {
  if (!snat) return [];
  const sources = family === 4 ? [text, '127.0.0.1'] : [text];
  return [
    ...sources.map((source) => ({ set: setName('hairpins', family), key: `${source} . ${text}`, data: '' })),
    ...(masqAll ? [{ set: setName('masquerade_all', family), key: text, data: '' }] : []),
  ];
}

/** The kernel takes no two elements that overlap. */
function excludedNetworks({ excludes }: Forwarding, family: Family): Cidr[] {
  const networks = (excludes?.[family] ?? []).flatMap((text) => parseCidr(text) ?? []);
  const isWithin = (inner: Cidr, outer: Cidr) => inner.prefix > outer.prefix && contains(outer, inner.ip);
  return networks.filter((network) => !networks.some((other) => isWithin(network, other)));
}

function isIn(networks: readonly Cidr[], hostIp: string | undefined): boolean {
  const ip = parseIp(hostIp ?? '');
  return ip !== undefined && networks.some((network) => contains(network, ip));
}

/** Of the ports of every address: `tcp . 9000-9999 . 192.0.2.10`. */
function excludedPorts(mappings: readonly Mapping[], networks: readonly Cidr[]): string[] {
  if (networks.length === 0) return [];
  const claims = claimsOf(
    mappings.filter((mapping) => specificHostIp(mapping) === undefined).map((mapping) => ({ ...mapping, hostIp: '' })),
  );
  return claims.flatMap(({ protocol, first, last }) => {
    const ports = first === last ? first : `${first}-${last}`;
    return networks.map((network) => `${protocol} . ${ports} . ${networkWord(network)}`);
  });
}
