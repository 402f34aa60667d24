/** CHECK, layer 3: addresses, routes, gateways, forwarding. Pure. */
import type { Route } from '../../lib/cni/result.ts';
import { givenAddresses, type RouteInfo } from '../../lib/iproute2/show.ts';
import { formatCidr, parseCidr, parseIp } from '../../lib/net/ip.ts';
import { type Expected, type Problem, problem, type Seen } from './check-subject.ts';
import { containerAddresses } from './container-link.ts';
import { gatewayName } from './vlan.ts';

export function addressProblem({ result, ifname }: Expected, { containerLink }: Seen): Problem | undefined {
  const present = givenAddresses(containerLink).map(formatCidr);
  const missing = containerAddresses(result, ifname).find((cidr) => !present.includes(formatCidr(cidr)));
  if (missing === undefined) return undefined;
  return problem(
    `Failed to match addr ${formatCidr(missing)} on interface ${ifname}`,
    `it has ${present.join(', ') || 'none'}`,
  );
}

export function routeProblem({ result, ifname }: Expected, { containerRoutes }: Seen): Problem | undefined {
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

export function gatewayProblem({ config, result }: Expected, { hostLinks, forwarding }: Seen): Problem | undefined {
  if (!config.isGateway) return undefined;
  const vlan = config.vlans?.native ?? 0;
  const holder = vlan === 0 ? config.bridge : gatewayName(config.bridge, vlan);
  const present = givenAddresses(hostLinks.get(holder)).map(formatCidr);
  for (const { address, gateway } of result.ips) {
    const cidr = parseCidr(address);
    const ip = gateway === undefined ? undefined : parseIp(gateway);
    if (cidr === undefined || ip === undefined) continue;
    const wanted = formatCidr({ ip, prefix: cidr.prefix });
    if (!present.includes(wanted)) {
      return problem(
        `${vlan === 0 ? 'bridge' : 'VLAN gateway'} ${holder} lacks the gateway address ${wanted}`,
        `it has ${present.join(', ') || 'none'}; run "ip addr add ${wanted} dev ${holder}"`,
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
