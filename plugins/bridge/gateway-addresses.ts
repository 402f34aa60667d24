/** The gateway addresses on the bridge or on the gateway of a VLAN: what is added, and what gives way to it. Pure. */
import { CniError, code } from '../../lib/cni/errors.ts';
import type { IpCommand } from '../../lib/iproute2/batch.ts';
import { givenAddresses, type LinkInfo } from '../../lib/iproute2/show.ts';
import { type Cidr, formatCidr, overlaps } from '../../lib/net/ip.ts';
import { linkLocalAddress } from '../../lib/net/mac.ts';
import { broadcast } from './plan.ts';
import type { BridgeConfig } from './schema.ts';

/** The link that is to have the addresses. */
export interface Holder {
  readonly name: string;
  readonly mac: string;
  readonly seen: LinkInfo | undefined;
}

export interface AddressInput {
  readonly config: BridgeConfig;
  readonly gateways: readonly Cidr[];
  readonly holder: Holder;
  /** Living ports of the bridge; `undefined` where nobody looked. */
  readonly ports?: readonly string[] | undefined;
}

interface AddressPlan {
  readonly commands: readonly IpCommand[];
  readonly warnings: readonly string[];
}

/** True when every gateway is there or has nothing beside it. */
export function fitsBeside(gateways: readonly Cidr[], seen: LinkInfo | undefined): boolean {
  return missing(gateways, seen).every((gateway) => beside(gateway, gateways, seen).length === 0);
}

/** What of `gateways` the link lacks, each once. */
function missing(gateways: readonly Cidr[], seen: LinkInfo | undefined): Cidr[] {
  const present = new Set(givenAddresses(seen).map(formatCidr));
  const wanted = new Map(gateways.map((gateway) => [formatCidr(gateway), gateway]));
  return [...wanted].filter(([text]) => !present.has(text)).map(([, gateway]) => gateway);
}

/** The other addresses of the gateway's family that no gateway of this attachment is. */
function beside({ ip }: Cidr, gateways: readonly Cidr[], seen: LinkInfo | undefined): Cidr[] {
  const wanted = new Set(gateways.map(formatCidr));
  return givenAddresses(seen).filter((cidr) => cidr.ip.family === ip.family && !wanted.has(formatCidr(cidr)));
}

/**
 * Another IPv4 address, or an overlapping IPv6 one, gives way to forceAddress, and any other one where no living port
 * hangs on the bridge: then it is of a network that is no more, and would draw the traffic of whoever has it now.
 */
export function planGatewayAddresses({ config, gateways, holder, ports }: AddressInput): AddressPlan {
  const { name, mac, seen } = holder;
  const isIdle = ports?.length === 0 && !config.forceAddress;
  const planned = missing(gateways, seen).map((gateway) => {
    const others = beside(gateway, gateways, seen);
    const conflicting = others.filter((cidr) => isIdle || cidr.ip.family === 4 || overlaps(cidr, gateway));
    if (conflicting.length > 0 && !isIdle && !config.forceAddress)
      throw addressConflict({ holder, gateway, conflicting, ports });
    return { gateway, conflicting };
  });
  const commands = planned.flatMap(({ gateway, conflicting }) => [
    ...conflicting.map((cidr) => ['addr', 'del', formatCidr(cidr), 'dev', name]),
    // Without nodad the gateway would be tentative for a second or two, and pods would lose their first packets.
    ['addr', 'add', formatCidr(gateway), ...(gateway.ip.family === 6 ? ['nodad'] : broadcast(gateway)), 'dev', name],
  ]);
  // Once each: one address can be in the way of two gateways.
  const once = [...new Map(commands.map((command) => [command.join(' '), command])).values()];
  const pin = seen === undefined || once.length === 0 ? [] : [['link', 'set', 'dev', name, 'address', mac]];
  const replaced = isIdle ? planned.filter(({ conflicting }) => conflicting.length > 0) : [];
  return {
    commands: [...pin, ...once],
    warnings: replaced.map(
      ({ gateway, conflicting }) =>
        `"${name}" had ${texts(conflicting)}, now it has ${formatCidr(gateway)}: no living port hangs on the bridge`,
    ),
  };
}

/**
 * Before the kernel gives the link the same address, tentatively: until that settles, a second or two, the node cannot ask
 * for the MAC address of any pod.
 */
export function planLinkLocal(gateways: readonly Cidr[], { name, mac, seen }: Holder): IpCommand[] {
  const hasOne = (seen?.addr_info ?? []).some(({ family, scope }) => family === 'inet6' && scope === 'link');
  if (hasOne || !gateways.some(({ ip }) => ip.family === 6)) return [];
  return [['addr', 'add', `${linkLocalAddress(mac)}/64`, 'nodad', 'dev', name]];
}

interface Conflict {
  readonly holder: Holder;
  readonly gateway: Cidr;
  readonly conflicting: readonly Cidr[];
  readonly ports: readonly string[] | undefined;
}

function addressConflict({ holder: { name }, gateway, conflicting, ports }: Conflict): CniError {
  const wanted = formatCidr(gateway);
  const living = ports === undefined ? '' : `, and living ports: ${ports.join(', ')}`;
  return new CniError(code.conflict, `"${name}" already has an IP address different from ${wanted}`, {
    details: `it has ${texts(conflicting)}${living}; when their containers are gone it takes the new address by itself, else set "forceAddress": true or use another "bridge"`,
  });
}

function texts(cidrs: readonly Cidr[]): string {
  return cidrs.map(formatCidr).join(', ');
}
