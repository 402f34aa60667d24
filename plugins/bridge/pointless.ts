/**
 * What a configuration asks for in vain: keys that do nothing beside others, routes and masquerade that help nobody. The
 * reference takes them in silence; so they are taken here, too, and told of. Pure.
 */
import type { Cidr, Family } from '../../lib/net/ip.ts';
import type { Addressing } from './addressing.ts';
import type { BridgeConfig } from './schema.ts';

/** The keys that are looked at, as configured. */
export interface Keys {
  readonly isGateway: boolean;
  readonly isDefaultGateway: boolean;
  readonly forceAddress: boolean;
  readonly ipMasq: boolean | string;
  readonly hairpinMode: boolean;
  readonly portIsolation: boolean;
  readonly ipam: { readonly type: string };
  readonly portmap?: unknown;
  /** Host ports are bridge's own to forward. */
  readonly takesPorts: boolean;
}

/** One sentence for each key that does nothing, whatever container comes. */
export function pointlessKeys(keys: Keys): string[] {
  const { isGateway, isDefaultGateway, forceAddress, hairpinMode, portIsolation } = keys;
  const needsGateway = forceAddress && !isGateway && !isDefaultGateway;
  return [
    ...(keys.ipam.type === '' ? withoutAddresses(keys) : needsGateway ? [FORCE_WITHOUT_GATEWAY] : []),
    ...(hairpinMode && portIsolation ? [HAIRPIN_ISOLATED] : []),
    ...(keys.portmap !== undefined && !keys.takesPorts ? [PORTS_UNDECLARED] : []),
  ];
}

const FORCE_WITHOUT_GATEWAY = '"forceAddress" does nothing without "isGateway": the bridge gets no address; remove it';
/** The kernel passes nothing from one isolated port to another, itself included. */
const HAIRPIN_ISOLATED =
  '"hairpinMode" does nothing beside "portIsolation": an isolated port gets nothing back of what it sent; remove one of them';

const PORTS_UNDECLARED =
  '"portmap" does nothing without "capabilities": {"portMappings": true} beside it: the runtime hands on no host ports; set it';

function withoutAddresses(keys: Keys): string[] {
  const names = ['isGateway', 'isDefaultGateway', 'ipMasq', 'forceAddress'] as const;
  return names
    .filter((name) => keys[name] !== false)
    .map(
      (name) =>
        `"${name}" does nothing without "ipam.type": the container gets no address; configure "ipam" or remove it`,
    );
}

/** Routes of a family that the container has no address of: a packet would have nothing to come from. */
export function pointlessRoutes({ addresses, routes }: Addressing): string[] {
  if (addresses.length === 0) return [];
  const families = new Set(addresses.map(({ cidr }) => cidr.ip.family));
  const stranded = routes.filter(({ dst }) => !families.has(familyOf(dst))).map(({ dst }) => dst);
  return [...new Set(stranded)].map(
    (dst) =>
      `the route to ${dst} is of no use: the container gets no IPv${familyOf(dst)} address; add a range or remove it`,
  );
}

function familyOf(text: string): Family {
  return text.includes(':') ? 6 : 4;
}

/**
 * Masquerade is for what passes this host as a router, so the host has to have the gateway's address: by "isGateway", or
 * because somebody gave it to the bridge. `held` are the addresses that the bridge has or gets.
 */
export function pointlessMasquerade(
  { ipMasq }: BridgeConfig,
  { addresses }: Addressing,
  held: readonly Cidr[],
): string[] {
  if (ipMasq.length === 0) return [];
  const gateways = addresses.flatMap(({ gateway }) => gateway?.text ?? []);
  if (gateways.some((gateway) => held.some(({ ip }) => ip.text === gateway))) return [];
  const state = gateways.length === 0 ? 'it has no gateway' : `its gateway ${gateways.join(', ')} is not this host`;
  return [`"ipMasq" is of no use to the container: ${state}; set "isGateway", or remove "ipMasq"`];
}
