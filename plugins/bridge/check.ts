/** CHECK: holds what ADD built against what is there, and names the first thing that would break traffic. */
import { CniError, code } from '../../lib/cni/errors.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import { requirePrevResult } from '../../lib/cni/prev-result.ts';
import type { Interface, Result, Route } from '../../lib/cni/result.ts';
import type { BackendName } from '../../lib/firewall/backend.ts';
import { missingInAll } from '../../lib/firewall/missing.ts';
import { query } from '../../lib/iproute2/batch.ts';
import { type LinkInfo, type RouteInfo, showLinks } from '../../lib/iproute2/show.ts';
import { openNetns } from '../../lib/linux/netns.ts';
import { readSysctl } from '../../lib/linux/sysctl.ts';
import { type Family, formatCidr, parseCidr, parseIp } from '../../lib/net/ip.ts';
import { bridgeAddresses } from './bridge-link.ts';
import { containerAddresses } from './container-link.ts';
import { masquerades, type Owner } from './masquerade.ts';
import type { BridgeConfig } from './schema.ts';

/** What CHECK looks at, read once. */
export interface Seen {
  /** By name: the bridge, the host's end of the pair. */
  readonly hostLinks: ReadonlyMap<string, LinkInfo>;
  readonly containerLink: LinkInfo | undefined;
  readonly containerRoutes: readonly RouteInfo[];
  readonly forwarding: { readonly [F in Family]: boolean };
  /** Rules of the masquerade that are missing, each as a part of a sentence. */
  readonly missingRules: readonly string[];
}

type Ruled = Pick<Expected, 'owner' | 'firewalls'>;

export interface Expected {
  readonly config: BridgeConfig;
  readonly owner: Owner;
  /** Where its masquerade rules may be. */
  readonly firewalls: readonly BackendName[];
  readonly ifname: string;
  readonly netns: string;
  readonly result: Result;
}

/** Throws code 103 naming the object, what was expected and what was found; 7 without prevResult. */
export function checkAttachment(call: Call, config: BridgeConfig, { owner, firewalls }: Ruled): void {
  const expected: Expected = {
    config,
    owner,
    firewalls,
    ifname: call.ifname,
    netns: call.netns,
    result: requirePrevResult(call.config),
  };
  const problem = findProblem(expected, observe(expected));
  if (problem === undefined) return;
  throw new CniError(code.checkFailed, problem.message, { details: problem.details });
}

function observe({ config, owner, firewalls, ifname, netns, result }: Expected): Seen {
  using opened = openNetns(netns);
  // Routes first: their line is always there, the link's is missing with the link.
  const [routes, links] = opened.run(() =>
    query<RouteInfo | LinkInfo>(
      [
        ['route', 'show', 'table', 'all'],
        ['addr', 'show', 'dev', ifname],
      ],
      { details: true },
    ),
  );
  const hostNames = [config.bridge, ...hostInterfaces(result, config).map(({ name }) => name)];
  const masqueraded = containerAddresses(result, ifname).filter(({ ip }) => config.ipMasq.includes(ip.family));
  return {
    hostLinks: new Map(showLinks(hostNames).map((link) => [link.ifname, link])),
    containerLink: links?.[0] as LinkInfo | undefined,
    containerRoutes: ((routes ?? []) as RouteInfo[]).flatMap(separateRoutes),
    forwarding: { 4: readSysctl('net/ipv4/ip_forward') === '1', 6: readSysctl('net/ipv6/conf/all/forwarding') === '1' },
    missingRules:
      masqueraded.length === 0
        ? []
        : missingInAll(firewalls, (backend) => masquerades[backend].missing(owner, masqueraded)),
  };
}

/** One route for each next hop. */
function separateRoutes({ nexthops, ...route }: RouteInfo): RouteInfo[] {
  return nexthops === undefined ? [route] : nexthops.map((nexthop) => ({ ...route, ...nexthop }));
}

/** The interfaces of the result that are the host's, but for the bridge: the near end of the pair. */
function hostInterfaces(result: Result, config: BridgeConfig): Interface[] {
  return result.interfaces.filter(({ name, sandbox }) => sandbox === undefined && name !== config.bridge);
}

interface Problem {
  readonly message: string;
  readonly details: string;
}

/** The first difference between what was built and what is there, `undefined` when all is well. Pure. */
export function findProblem(expected: Expected, seen: Seen): Problem | undefined {
  return (
    bridgeProblem(expected, seen) ??
    containerProblem(expected, seen) ??
    portProblem(expected, seen) ??
    addressProblem(expected, seen) ??
    routeProblem(expected, seen) ??
    gatewayProblem(expected, seen) ??
    masqueradeProblem(expected, seen)
  );
}

function problem(message: string, details: string): Problem {
  return { message, details };
}

function bridgeProblem({ config, result }: Expected, { hostLinks }: Seen): Problem | undefined {
  const { bridge } = config;
  const recorded = result.interfaces.find(({ name, sandbox }) => name === bridge && sandbox === undefined);
  const link = hostLinks.get(bridge);
  if (recorded === undefined)
    return problem(`Interface ${bridge} not found in prevResult`, 'was the attachment made with another "bridge"?');
  if (link === undefined)
    return problem(`bridge ${bridge} does not exist`, 'somebody deleted it: add the attachments on it again');
  if (link.linkinfo?.info_kind !== 'bridge')
    return problem(
      `Interface ${bridge} does not have link type of bridge`,
      `it is ${link.linkinfo?.info_kind ?? 'a device'}`,
    );
  if (!link.flags.includes('UP')) return problem(`bridge ${bridge} is down`, `run "ip link set ${bridge} up"`);
  if (recorded.mac !== undefined && link.address !== recorded.mac.toLowerCase()) {
    return problem(
      `Bridge interface ${bridge} Mac doesn't match: expected ${recorded.mac}, found ${link.address ?? 'none'}`,
      'containers remember the old one for a while',
    );
  }
  const promisc = link.flags.includes('PROMISC');
  if (config.promiscMode && !promisc)
    return problem(`bridge ${bridge} is not in promiscuous mode`, `run "ip link set ${bridge} promisc on"`);
  return undefined;
}

function containerProblem({ result, ifname, netns }: Expected, { containerLink }: Seen): Problem | undefined {
  const recorded = result.interfaces.find(({ name, sandbox }) => name === ifname && sandbox !== undefined);
  if (recorded === undefined)
    return problem(`Interface ${ifname} not found in prevResult`, 'prevResult names no interface of this container');
  if (recorded.sandbox !== netns) {
    return problem(
      `Sandbox in prevResult ${recorded.sandbox ?? ''} doesn't match configured netns: ${netns}`,
      'CNI_NETNS is another one than at ADD',
    );
  }
  if (containerLink === undefined)
    return problem(
      `container interface ${ifname} does not exist in ${netns}`,
      'somebody deleted it: DEL and ADD the attachment',
    );
  if (containerLink.linkinfo?.info_kind !== 'veth')
    return problem(
      `container interface ${ifname} is no veth`,
      `it is ${containerLink.linkinfo?.info_kind ?? 'a device'}`,
    );
  if (!containerLink.flags.includes('UP'))
    return problem(`container interface ${ifname} is down`, `run "ip link set ${ifname} up" in ${netns}`);
  if (recorded.mac !== undefined && containerLink.address !== recorded.mac.toLowerCase()) {
    return problem(
      `container interface ${ifname} has MAC address ${containerLink.address ?? 'none'}, expected ${recorded.mac}`,
      'somebody changed it',
    );
  }
  return undefined;
}

/** The host's MAC address is not compared: udev may change it, and nothing depends on it. */
function portProblem({ config, result }: Expected, { hostLinks, containerLink }: Seen): Problem | undefined {
  const port = hostInterfaces(result, config)
    .map(({ name }) => hostLinks.get(name))
    .find((link) => link !== undefined && link.ifindex === containerLink?.link_index);
  if (port === undefined)
    return problem(
      `CNI veth created for bridge ${config.bridge} was not found`,
      'the far end of the container interface is no link of this host that prevResult names',
    );
  const { ifname } = port;
  if (port.master !== config.bridge) {
    return problem(
      `host interface ${ifname} is not a port of bridge ${config.bridge}`,
      `its master is ${port.master ?? 'none'}; run "ip link set ${ifname} master ${config.bridge}"`,
    );
  }
  if (port.operstate !== 'UP')
    return problem(`host interface ${ifname} is ${port.operstate}`, `run "ip link set ${ifname} up"`);
  const hairpin = port.linkinfo?.info_slave_data?.hairpin === true;
  if (hairpin !== config.hairpinMode) {
    return problem(
      `hairpin mode of ${ifname} is ${onOff(hairpin)}, expected ${onOff(config.hairpinMode)}`,
      `run "bridge link set dev ${ifname} hairpin ${onOff(config.hairpinMode)}"`,
    );
  }
  return undefined;
}

function onOff(value: boolean): string {
  return value ? 'on' : 'off';
}

function addressProblem({ result, ifname }: Expected, { containerLink }: Seen): Problem | undefined {
  const present = bridgeAddresses(containerLink).map(formatCidr);
  const missing = containerAddresses(result, ifname).find((cidr) => !present.includes(formatCidr(cidr)));
  if (missing === undefined) return undefined;
  return problem(
    `Failed to match addr ${formatCidr(missing)} on interface ${ifname}`,
    `it has ${present.join(', ') || 'none'}`,
  );
}

function routeProblem({ result, ifname }: Expected, { containerRoutes }: Seen): Problem | undefined {
  const missing = result.routes.find((route) => !containerRoutes.some((present) => isRoute(present, route)));
  if (missing === undefined) return undefined;
  const via = missing.gw === undefined ? '' : ` via ${missing.gw}`;
  return problem(
    `Expected Route ${missing.dst}${via} not found in routing table`,
    `no such route in the container of ${ifname}`,
  );
}

function isRoute(present: RouteInfo, route: Route): boolean {
  const isIpv6 = route.dst.includes(':');
  if (!isTable(present.table ?? 'main', route.table || 254)) return false;
  if (normalDst(present.dst, isIpv6) !== normalDst(route.dst, isIpv6)) return false;
  if (present.dst === 'default' && present.gateway?.includes(':') !== isIpv6 && present.gateway !== undefined)
    return false;
  return route.gw === undefined || present.gateway === canonical(route.gw);
}

/** ip prints names for some tables; which number another name of rt_tables has is the host's affair. */
function isTable(present: string, wanted: number): boolean {
  const names: { readonly [name: string]: number } = { default: 253, main: 254, local: 255 };
  const number = names[present] ?? Number(present);
  return Number.isNaN(number) || number === wanted;
}

/** ip prints the default route as a word and host routes without their length. */
function normalDst(dst: string, isIpv6: boolean): string {
  if (dst === 'default') return isIpv6 ? '::/0' : '0.0.0.0/0';
  const cidr = parseCidr(dst.includes('/') ? dst : `${dst}/${isIpv6 ? 128 : 32}`);
  return cidr === undefined ? dst : formatCidr(cidr);
}

function canonical(address: string): string {
  return parseIp(address)?.text ?? address;
}

function gatewayProblem({ config, result }: Expected, { hostLinks, forwarding }: Seen): Problem | undefined {
  if (!config.isGateway) return undefined;
  const present = bridgeAddresses(hostLinks.get(config.bridge)).map(formatCidr);
  for (const { address, gateway } of result.ips) {
    const cidr = parseCidr(address);
    const ip = gateway === undefined ? undefined : parseIp(gateway);
    if (cidr === undefined || ip === undefined) continue;
    const wanted = formatCidr({ ip, prefix: cidr.prefix });
    if (!present.includes(wanted)) {
      return problem(
        `bridge ${config.bridge} lacks the gateway address ${wanted}`,
        `it has ${present.join(', ') || 'none'}; run "ip addr add ${wanted} dev ${config.bridge}"`,
      );
    }
    if (!forwarding[ip.family]) {
      return problem(
        `IPv${ip.family} forwarding is off on this host`,
        `containers cannot reach the outside; run "sysctl -w ${ip.family === 4 ? 'net.ipv4.ip_forward' : 'net.ipv6.conf.all.forwarding'}=1"`,
      );
    }
  }
  return undefined;
}

function masqueradeProblem(_: Expected, { missingRules: [missing] }: Seen): Problem | undefined {
  if (missing === undefined) return undefined;
  return problem(
    `masquerade rule missing ${missing}`,
    'somebody flushed or changed the rules: DEL and ADD the attachment',
  );
}
