/** The bridge itself: made when missing, put right when it can be, refused when the name belongs to something else. */
import { CniError, code } from '../../lib/cni/errors.ts';
import { ToolError } from '../../lib/exec.ts';
import { type IpCommand, runBatch } from '../../lib/iproute2/batch.ts';
import { type LinkInfo, showLink } from '../../lib/iproute2/show.ts';
import { writeSysctl } from '../../lib/linux/sysctl.ts';
import { type Cidr, formatCidr, overlaps, parseIp } from '../../lib/net/ip.ts';
import { linkLocalAddress, randomMac } from '../../lib/net/mac.ts';
import { broadcast } from './plan.ts';
import type { BridgeConfig } from './schema.ts';

/** How often we look again after another ADD changed the bridge between our looking and our writing. */
const MAX_ATTEMPTS = 20;

/** Makes the bridge what `config` and `gateways` (addresses with prefix) ask for; its MAC address. Throws. */
export function ensureBridge(config: BridgeConfig, gateways: readonly Cidr[]): string {
  let seen = showLink(config.bridge);
  const isNew = seen === undefined;
  for (let attempt = 1; ; attempt += 1) {
    const plan = planBridge({ config, gateways, seen, newMac: randomMac() });
    try {
      runBatch(plan.commands);
      // Also when it took two attempts, or another ADD was faster.
      if (isNew) refuseRouterAdvertisements(config.bridge);
      return plan.mac;
    } catch (error) {
      const now = showLink(config.bridge);
      if (!(error instanceof ToolError) || attempt === MAX_ATTEMPTS || sameLink(seen, now)) throw error;
      seen = now;
    }
  }
}

/**
 * By what a plan looks at (a bridge's timers differ at each look); it also tells apart two looks of which one was before
 * another ADD's batch had ended.
 */
function sameLink(one: LinkInfo | undefined, two: LinkInfo | undefined): boolean {
  const seen = (link: LinkInfo | undefined) =>
    link && [link.ifindex, link.address, link.flags, link.linkinfo?.info_kind, link.addr_info];
  return JSON.stringify(seen(one)) === JSON.stringify(seen(two));
}

function refuseRouterAdvertisements(bridge: string): void {
  try {
    writeSysctl(`net/ipv6/conf/${bridge}/accept_ra`, '0');
  } catch {
    // A read-only /proc/sys: the bridge works without, it only may pick up a router's prefix.
  }
}

interface BridgeInput {
  readonly config: BridgeConfig;
  readonly gateways: readonly Cidr[];
  readonly seen: LinkInfo | undefined;
  /** For a bridge that has to be made. */
  readonly newMac: string;
}

/**
 * The batch that is left to do, and the MAC address the bridge then has. It is pinned (set explicitly), since a bridge
 * would otherwise take over the lowest of its ports' and change with every pod.
 */
export function planBridge({ config, gateways, seen, newMac }: BridgeInput): { commands: IpCommand[]; mac: string } {
  const commands: IpCommand[] = [];
  const { bridge } = config;
  const mac = seen?.address ?? newMac;
  if (seen === undefined) {
    const mtu = config.mtu === undefined ? [] : ['mtu', String(config.mtu)];
    commands.push(['link', 'add', 'name', bridge, 'address', mac, ...mtu, 'type', 'bridge']);
  } else if (seen.linkinfo?.info_kind !== 'bridge') {
    throw new CniError(code.conflict, `cannot use "${bridge}" as bridge: it already exists but is not a bridge`, {
      details: `it is ${seen.linkinfo?.info_kind ?? 'a device'} of its own; set "bridge" to another name or delete it`,
    });
  }
  if (config.promiscMode && seen?.flags.includes('PROMISC') !== true)
    commands.push(['link', 'set', 'dev', bridge, 'promisc', 'on']);
  if (gateways.some(({ ip }) => ip.family === 6) && !hasLinkLocal(seen)) {
    // Before the kernel gives it the same one, tentatively: until that settles, a second or two, the node cannot ask for
    // the MAC address of any pod.
    commands.push(['addr', 'add', `${linkLocalAddress(mac)}/64`, 'nodad', 'dev', bridge]);
  }
  if (seen?.flags.includes('UP') !== true) commands.push(['link', 'set', 'dev', bridge, 'up']);
  const wanted = new Map(gateways.map((gateway) => [formatCidr(gateway), gateway]));
  const planned = [...wanted].flatMap(([text, gateway]) => planGateway({ config, wanted, seen }, text, gateway));
  // Once each: one address can be in the way of two gateways.
  const addresses = [...new Map(planned.map((command) => [command.join(' '), command])).values()];
  if (seen !== undefined && addresses.length > 0) commands.push(['link', 'set', 'dev', bridge, 'address', mac]);
  return { commands: [...commands, ...addresses], mac };
}

function hasLinkLocal(link: LinkInfo | undefined): boolean {
  return (link?.addr_info ?? []).some(({ family, scope }) => family === 'inet6' && scope === 'link');
}

interface GatewayInput {
  readonly config: BridgeConfig;
  /** All gateway addresses of this attachment, by their text. */
  readonly wanted: ReadonlyMap<string, Cidr>;
  readonly seen: LinkInfo | undefined;
}

/** A gateway address on the bridge. Another IPv4 address, or an overlapping IPv6 one, gives way only to forceAddress. */
function planGateway({ config, wanted, seen }: GatewayInput, text: string, gateway: Cidr): IpCommand[] {
  const { bridge } = config;
  if ((seen?.addr_info ?? []).some(({ local, prefixlen }) => `${local}/${prefixlen}` === text)) return [];
  const others = bridgeAddresses(seen).filter(
    (cidr) => cidr.ip.family === gateway.ip.family && !wanted.has(formatCidr(cidr)),
  );
  const conflicting = others.filter((cidr) => cidr.ip.family === 4 || overlaps(cidr, gateway));
  if (conflicting.length > 0 && !config.forceAddress) throw addressConflict(bridge, text, conflicting);
  // Without nodad the gateway would be tentative for a second or two, and pods would lose their first packets.
  const flags = gateway.ip.family === 6 ? ['nodad'] : broadcast(gateway);
  return [
    ...conflicting.map((cidr) => ['addr', 'del', formatCidr(cidr), 'dev', bridge]),
    ['addr', 'add', text, ...flags, 'dev', bridge],
  ];
}

/** The addresses of a link that somebody gave it: link-local ones come by themselves. */
export function bridgeAddresses(link: LinkInfo | undefined): Cidr[] {
  return (link?.addr_info ?? []).flatMap(({ local, prefixlen, scope }) => {
    const ip = parseIp(local);
    return ip === undefined || scope === 'link' ? [] : [{ ip, prefix: prefixlen }];
  });
}

function addressConflict(bridge: string, wanted: string, present: readonly Cidr[]): CniError {
  return new CniError(code.conflict, `"${bridge}" already has an IP address different from ${wanted}`, {
    details: `it has ${present.map(formatCidr).join(', ')}; use another "bridge", set "forceAddress": true, or delete the address when no pod needs it`,
  });
}
