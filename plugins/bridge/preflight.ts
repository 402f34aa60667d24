/** What on a host keeps the containers of a bridge from working, and how it is put right. Pure. */
import { type Cidr, contains, type Family, formatCidr, networkOf, networkText, overlaps } from '../../lib/net/ip.ts';
import { type FilterRules, forwardsAreDropped } from './forward-policy.ts';

export interface Asked {
  /** Name of the network. */
  readonly network: string;
  readonly bridge: string;
  /** Of the container's addresses that the host has to forward for. */
  readonly families: readonly Family[];
  /** The bridge's addresses; none where another router is the gateway. */
  readonly gateways: readonly Cidr[];
}

/** A network that this host knows already. */
export interface KnownNetwork {
  readonly cidr: Cidr;
  /** For people: `address 10.7.0.1/16 on eth0`. */
  readonly what: string;
}

/** What preflight looks at. `undefined` is what cannot be seen. */
export interface Looked {
  /** Values of the sysctls. */
  readonly forwarding: { readonly [F in Family]: string | undefined };
  /** Of the bridge itself, where it is there. */
  readonly bridgeForwarding: string | undefined;
  /** bridge-nf-call-iptables and its like. */
  readonly netfilter: { readonly [F in Family]: string | undefined };
  readonly filters: readonly FilterRules[];
  /** Addresses and routes of other links. */
  readonly networks: readonly KnownNetwork[];
  /** Of other configurations. */
  readonly configured: readonly KnownNetwork[];
}

export interface Harm {
  readonly overlaps: readonly string[];
  readonly warnings: readonly string[];
}

export function findHarm(asked: Asked, looked: Looked): Harm {
  return {
    overlaps: findOverlaps(asked, looked),
    warnings: [
      ...asked.families.flatMap((family) => forwardingProblem(asked, looked, family)),
      ...familiesOf(asked.gateways).flatMap((family) => netfilterProblem(looked, family)),
      ...looked.filters.flatMap((filter) => filterProblem(asked, filter)),
    ],
  };
}

export function familiesOf(cidrs: readonly Cidr[]): Family[] {
  return [...new Set(cidrs.map(({ ip }) => ip.family))];
}

/** Slash names of the settings, by family. */
export const FORWARDING: { readonly [F in Family]: string } = {
  4: 'net/ipv4/ip_forward',
  6: 'net/ipv6/conf/all/forwarding',
};
export const NETFILTER: { readonly [F in Family]: string } = {
  4: 'net/bridge/bridge-nf-call-iptables',
  6: 'net/bridge/bridge-nf-call-ip6tables',
};

function forwardingProblem({ bridge, gateways }: Asked, looked: Looked, family: Family): string[] {
  const value = looked.forwarding[family];
  const what = `IPv${family} forwarding`;
  if (value === undefined) {
    return [`${what} cannot be seen: /proc/sys/${FORWARDING[family]} is hidden; make sure that it is 1 on this host`];
  }
  // ADD turns it on for a gateway, and leaves it alone for others.
  const isGateway = familiesOf(gateways).includes(family);
  if (value !== '1')
    return isGateway ? [] : [`${what} is off, containers cannot reach the outside; ${fix(FORWARDING[family])}`];
  if (family === 4 && looked.bridgeForwarding === '0')
    return [`${what} is off for this bridge; ${fix(`net/ipv4/conf/${bridge}/forwarding`)}`];
  return [];
}

/** With dots, as people write it, unless a name in it has one of its own. */
function fix(sysctl: string): string {
  return `run "sysctl -w ${sysctl.includes('.') ? sysctl : sysctl.replaceAll('/', '.')}=1"`;
}

function netfilterProblem({ netfilter }: Looked, family: Family): string[] {
  const value = netfilter[family];
  const harm = `containers on one bridge bypass ${family === 4 ? 'iptables' : 'ip6tables'}, and with it Services`;
  if (value === undefined)
    return family === 4 ? [`br_netfilter is not loaded, ${harm}; run "modprobe br_netfilter"`] : [];
  return value === '1' ? [] : [`${NETFILTER[family]} is off, ${harm}; ${fix(NETFILTER[family])}`];
}

function filterProblem(asked: Asked, filter: FilterRules): string[] {
  const { bridge, gateways } = asked;
  const networks = gateways.filter(({ ip }) => filter.families.includes(ip.family));
  if (networks.length === 0 || !forwardsAreDropped(filter, bridge, networks)) return [];
  const commands = filter.fixes(bridge).map((command) => `"${command}"`);
  return [
    `${filter.what} drops what it does not know, and accepts nothing of this bridge; run ${commands.join(' and ')}`,
  ];
}

function findOverlaps({ gateways }: Asked, { networks, configured }: Looked): string[] {
  const found = gateways.flatMap((gateway) => [
    ...networks.filter(({ cidr }) => overlaps(cidr, gateway) && !isBase(cidr, gateway)).map(says(gateway)),
    ...configured.filter(({ cidr }) => overlaps(cidr, gateway)).map(says(gateway)),
  ]);
  return [...new Set(found)];
}

function says(gateway: Cidr): (known: KnownNetwork) => string {
  return ({ what }) => `${networkText(gateway)} overlaps with ${what}; choose another subnet for one of them`;
}

/** flannel gives its device the address that the node's network itself has, alone. */
function isBase(cidr: Cidr, gateway: Cidr): boolean {
  const isAlone = cidr.prefix === (cidr.ip.family === 4 ? 32 : 128);
  return (
    isAlone &&
    contains(gateway, cidr.ip) &&
    formatCidr({ ip: networkOf(gateway), prefix: cidr.prefix }) === formatCidr(cidr)
  );
}
