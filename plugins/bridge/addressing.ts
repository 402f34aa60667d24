/** Gateways, routes and DNS of an attachment: what the IPAM result becomes under the bridge's configuration. Pure. */
import { CniError, code } from '../../lib/cni/errors.ts';
import type { Dns, IpConfig, Result, Route } from '../../lib/cni/result.ts';
import { type Cidr, type Family, type Ip, makeIp, networkOf, parseCidr, parseIp } from '../../lib/net/ip.ts';
import type { BridgeConfig } from './schema.ts';

/** One address of the container. */
export interface Address {
  readonly cidr: Cidr;
  readonly gateway: Ip | undefined;
}

export interface Addressing {
  readonly addresses: readonly Address[];
  readonly routes: readonly Route[];
  readonly dns: Dns;
}

/** The number of the main routing table (rt_class_t). */
const MAIN_TABLE = 254;

const ANYWHERE: { readonly [F in Family]: string } = { 4: '0.0.0.0/0', 6: '::/0' };

/** Throws code 104 when the IPAM result cannot be used. */
export function planAddressing(config: BridgeConfig, ipam: Result): Addressing {
  const addresses = ipam.ips.map((ip) => planAddress(config, ip));
  const dns = config.dns ?? ipam.dns;
  return { addresses, routes: planRoutes(config, addresses, ipam.routes), dns };
}

function planAddress(config: BridgeConfig, ip: IpConfig): Address {
  const cidr = parseCidr(ip.address);
  const given = ip.gateway === undefined ? undefined : parseIp(ip.gateway);
  if (cidr === undefined || (ip.gateway !== undefined && given === undefined)) {
    throw new CniError(
      code.delegateFailed,
      `cannot use the IPAM result: address ${ip.address} with gateway ${ip.gateway ?? 'none'}`,
    );
  }
  const gateway = given ?? (config.isGateway ? firstOf(cidr) : undefined);
  return { cidr, gateway };
}

/** The network's first address, the gateway when nobody names another. */
function firstOf(cidr: Cidr): Ip {
  return makeIp(cidr.ip.family, networkOf(cidr).value + 1n);
}

/** The IPAM plugin's routes, and for isDefaultGateway one default route per family that leads to the gateway. */
function planRoutes(config: BridgeConfig, addresses: readonly Address[], routes: readonly Route[]): Route[] {
  if (!config.isDefaultGateway) return [...routes];
  const planned = [...routes];
  for (const { cidr, gateway } of addresses) {
    if (gateway === undefined) continue;
    const dst = ANYWHERE[cidr.ip.family];
    if (planned.some((route) => route.gw !== undefined && isDefault(route, dst))) continue;
    const at = planned.findIndex((route) => isDefault(route, dst) && !isApart(route));
    // A default route without gateway would be installed through the same one: the two are one route.
    planned.splice(at === -1 ? planned.length : at, 1, { ...planned[at], dst, gw: gateway.text });
  }
  return planned;
}

/** True for a route that stands beside another one to the same destination: in a table of its own, or with a metric. */
function isApart({ table = 0, priority = 0 }: Route): boolean {
  return priority !== 0 || ![0, MAIN_TABLE].includes(table);
}

function isDefault(route: Route, dst: string): boolean {
  const cidr = parseCidr(route.dst);
  return cidr !== undefined && cidr.prefix === 0 && route.dst.includes(':') === dst.includes(':');
}

/** Where `route` goes: its own gateway, else the first one of its family that an address has. */
export function nextHop(route: Route, addresses: readonly Address[]): string | undefined {
  if (route.gw !== undefined) return route.gw;
  const family = route.dst.includes(':') ? 6 : 4;
  return addresses.find(({ gateway }) => gateway?.family === family)?.gateway?.text;
}
