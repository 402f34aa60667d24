/** What ./preflight.ts judges by, read from this host. What cannot be read is left out: it is only for warnings. */
import { isObject, type JsonObject } from '../../lib/cni/json.ts';
import { findTool, run } from '../../lib/exec.ts';
import { query } from '../../lib/iproute2/batch.ts';
import { givenAddresses, type LinkInfo, type RouteInfo } from '../../lib/iproute2/show.ts';
import { TOOLS } from '../../lib/iptables/nat.ts';
import { listNetworks } from '../../lib/libcni/conf-dir.ts';
import { readSysctl } from '../../lib/linux/sysctl.ts';
import { bitsOf, type Cidr, type Family, formatCidr, parseCidr } from '../../lib/net/ip.ts';
import { type FilterRules, filterOfTable, parseDroppingChains, parseFilterTable } from './forward-policy.ts';
import { type Asked, FORWARDING, familiesOf, type KnownNetwork, type Looked, NETFILTER } from './preflight.ts';
import { isGatewayName } from './vlan.ts';

/** Where runtimes look by default; NETCONFPATH is theirs, plugins do not get it. */
const CONF_FOLDER = '/etc/cni/net.d';

/** Starts some children: for the first use of a bridge only. */
export function lookOver(asked: Asked): Looked {
  const { bridge, gateways } = asked;
  const families = familiesOf(gateways);
  return {
    forwarding: { 4: settingOf(FORWARDING[4]), 6: settingOf(FORWARDING[6]) },
    bridgeForwarding: settingOf(`net/ipv4/conf/${bridge}/forwarding`),
    netfilter: { 4: settingOf(NETFILTER[4]), 6: settingOf(NETFILTER[6]) },
    filters: [...families.flatMap(iptablesFilter), ...(families.length === 0 ? [] : nftFilters())],
    networks: families.length === 0 ? [] : orNone(() => hostNetworks(bridge)),
    configured: families.length === 0 ? [] : orNone(() => configuredNetworks(asked.network)),
  };
}

function settingOf(sysctl: string): string | undefined {
  try {
    return readSysctl(sysctl);
  } catch {
    // Not readable for us: as good as hidden.
    return undefined;
  }
}

function orNone<T>(look: () => T[]): T[] {
  try {
    return look();
  } catch {
    // The tool is missing or failed: the ADD itself will say so, if it needs it.
    return [];
  }
}

function iptablesFilter(family: Family): FilterRules[] {
  const tool = TOOLS[family].save;
  if (findTool(tool) === undefined) return [];
  return orNone(() => [parseFilterTable(run(tool, ['-t', 'filter']), family)].filter((filter) => filter !== undefined));
}

function nftFilters(): FilterRules[] {
  if (findTool('nft') === undefined) return [];
  return orNone(() => {
    const chains = parseDroppingChains(run('nft', ['list', 'chains'])).filter(({ table }) => !isOfIptables(table));
    return chains.map((one) => filterOfTable(one, run('nft', ['list', 'table', ...one.table.split(' ')])));
  });
}

/** What iptables-save shows already. */
function isOfIptables(table: string): boolean {
  const families: { readonly [name: string]: Family } = { 'ip filter': 4, 'ip6 filter': 6 };
  const family = families[table];
  return family !== undefined && findTool(TOOLS[family].save) !== undefined;
}

function hostNetworks(bridge: string): KnownNetwork[] {
  const [links = [], routes = []] = query<LinkInfo & RouteInfo>([
    ['addr', 'show'],
    // Both families: a table by its name would be IPv4's.
    ['route', 'show', 'table', 'all'],
  ]);
  const isOwn = (name = '') => name === bridge || isGatewayName(bridge, name);
  const addresses = links
    .filter(({ ifname }) => !isOwn(ifname))
    .flatMap((link) =>
      givenAddresses(link).map((cidr) => ({ cidr, what: `the address ${formatCidr(cidr)} of ${link.ifname}` })),
    );
  return [...addresses, ...routes.filter(({ dev }) => !isOwn(dev)).flatMap(knownRoute)];
}

/** Of the main table, without those that come with an address, default routes, and what is refused or dropped. */
function knownRoute({ dst, dev = '', type, protocol, table }: RouteInfo): KnownNetwork[] {
  const cidr = parseCidr(dst.includes('/') ? dst : `${dst}/${bitsOf(dst.includes(':') ? 6 : 4)}`);
  if (
    cidr === undefined ||
    cidr.prefix === 0 ||
    type !== undefined ||
    protocol === 'kernel' ||
    table !== undefined ||
    isLocal(cidr)
  )
    return [];
  return [{ cidr, what: `the route ${dst} on ${dev}` }];
}

/** Link-local and multicast: every link has them. */
function isLocal({ ip }: Cidr): boolean {
  return ip.family === 6 && /^(fe[89ab]|ff)/.test(ip.text);
}

function configuredNetworks(own: string): KnownNetwork[] {
  const others = listNetworks(CONF_FOLDER, () => {}).filter(({ name }) => name !== own);
  return others.flatMap(({ name, plugins }) =>
    plugins
      .flatMap(({ raw }) => subnetsOf(raw))
      .map((cidr) => ({ cidr, what: `subnet ${formatCidr(cidr)} of network "${name}" in ${CONF_FOLDER}` })),
  );
}

/** `subnet` of `ipam` and of each of its `ranges`. */
function subnetsOf({ ipam }: JsonObject): Cidr[] {
  if (!isObject(ipam)) return [];
  const ranges: unknown[] = Array.isArray(ipam.ranges) ? ipam.ranges.flat() : [];
  return [ipam, ...ranges].flatMap((range) => {
    const subnet = isObject(range) ? range.subnet : undefined;
    return typeof subnet === 'string' ? (parseCidr(subnet) ?? []) : [];
  });
}
