/**
 * Ranges and range sets: a set is a list of alternative ranges of one family, and each set gives an attachment one
 * address. Rules and most messages are the reference's; which differ: README.md "Differences".
 */
import { CniError, code } from '../../lib/cni/errors.ts';
import {
  bitsOf,
  type Cidr,
  contains,
  type Family,
  formatCidr,
  type Ip,
  lastOf,
  makeIp,
  networkOf,
} from '../../lib/net/ip.ts';

/** A range as configured. */
export interface RangeConfig {
  readonly subnet?: Cidr | undefined;
  readonly rangeStart?: Ip | undefined;
  readonly rangeEnd?: Ip | undefined;
  readonly gateway?: Ip | undefined;
}

/** `start` and `end` belong to the range; `gateway` need not, and is never given away. */
export interface Range {
  readonly subnet: Cidr;
  readonly start: Ip;
  readonly end: Ip;
  readonly gateway: Ip;
}

export type RangeSet = readonly [Range, ...Range[]];

/** The sets of a configuration with every default filled in. Throws code 7 naming the set by its index. */
export function makeRangeSets(configs: readonly (readonly RangeConfig[])[]): RangeSet[] {
  const sets = configs.map(makeSet);
  for (const [index, other] of pairs(sets)) {
    const [one, two] = [sets[index], sets[other]];
    if (one?.some((range) => two?.some((second) => overlap(range, second)))) {
      throw invalid(`range set ${index} overlaps with ${other}`, 'every set needs addresses of its own');
    }
  }
  return sets;
}

/** Results before 0.3.0 have room for one address of each family. Throws code 7. */
export function requireOneSetPerFamily(sets: readonly RangeSet[], cniVersion: string): void {
  const families = sets.map(familyOf);
  if (new Set(families).size === families.length) return;
  throw invalid(
    `CNI version ${cniVersion} does not support more than 1 address per family`,
    'each range set gives one address: leave one set per family or raise "cniVersion" to 0.3.0 or newer',
  );
}

/** The range of the set that `ip` lies in. */
export function rangeFor(set: RangeSet, ip: Ip): Range | undefined {
  return set.find((range) => inside(range, ip));
}

/** `10.1.0.1-10.1.0.9,10.1.0.20-10.1.0.29` */
export function formatSet(set: RangeSet): string {
  return set.map(formatRange).join(',');
}

/** How many addresses the set can give away. */
export function sizeOf(set: RangeSet): bigint {
  const sizes = set.map((range) => range.end.value - range.start.value + 1n - (inside(range, range.gateway) ? 1n : 0n));
  return sizes.reduce((sum, size) => sum + size, 0n);
}

function makeSet(configs: readonly RangeConfig[], index: number): RangeSet {
  try {
    const [first, ...rest] = configs.map(makeRange);
    if (first === undefined) throw invalid('empty range set', 'remove it or put a range with a "subnet" into it');
    const set: RangeSet = [first, ...rest];
    requireOneFamily(set);
    requireDistinct(set);
    return set;
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    throw invalid(`invalid range set ${index}: ${error.message}`, error.details);
  }
}

function makeRange(config: RangeConfig): Range {
  const subnet = requireSubnet(config.subnet);
  const { family } = subnet.ip;
  const first = makeIp(family, subnet.ip.value + 1n);
  const gateway = config.gateway ?? first;
  if (gateway.family !== family) {
    throw invalid(`gateway ${gateway.text} is not of the family of ${formatCidr(subnet)}`, 'one IPv4, the other IPv6');
  }
  const start = requireInside('RangeStart', config.rangeStart ?? first, subnet);
  const end = requireInside('RangeEnd', config.rangeEnd ?? defaultEnd(subnet), subnet);
  if (start.value > end.value) {
    throw invalid(`RangeStart ${start.text} is after RangeEnd ${end.text}`, `the subnet is ${formatCidr(subnet)}`);
  }
  return { subnet, start, end, gateway };
}

function requireSubnet(subnet: Cidr | undefined): Cidr {
  if (subnet === undefined) throw invalid('range without "subnet"', 'every range needs one, like 10.1.0.0/24');
  if (subnet.prefix > bitsOf(subnet.ip.family) - 2) {
    throw invalid(`Network ${formatCidr(subnet)} too small to allocate from`, 'it needs four addresses at least');
  }
  const network = networkOf(subnet);
  if (network.value === subnet.ip.value) return subnet;
  throw invalid(
    `Network has host bits set. For a subnet mask of length ${subnet.prefix} the network address is ${network.text}`,
    `write ${network.text}/${subnet.prefix}; where the addresses begin is for "rangeStart" to say`,
  );
}

function requireInside(what: string, ip: Ip, subnet: Cidr): Ip {
  if (contains(subnet, ip)) return ip;
  throw invalid(`${what} ${ip.text} not in network ${formatCidr(subnet)}`, 'a range lies inside its subnet');
}

/** IPv6 has no broadcast address to spare. */
function defaultEnd(subnet: Cidr): Ip {
  const last = lastOf(subnet);
  return last.family === 4 ? makeIp(4, last.value - 1n) : last;
}

function requireOneFamily(set: RangeSet): void {
  if (set.every((range) => range.subnet.ip.family === familyOf(set))) return;
  throw invalid('mixed address families', 'a set gives one address; for dual stack make one set per family');
}

function requireDistinct(set: RangeSet): void {
  for (const [index, other] of pairs(set)) {
    const [one, two] = [set[index], set[other]];
    if (one === undefined || two === undefined || !overlap(one, two)) continue;
    throw invalid(`subnets ${formatRange(one)} and ${formatRange(two)} overlap`, 'join them or move their ends');
  }
}

/** Every pair of indexes, the smaller one first. */
function pairs(list: readonly unknown[]): [number, number][] {
  return list.flatMap((_, index) =>
    list.slice(index + 1).map((_other, ahead): [number, number] => [index, index + 1 + ahead]),
  );
}

function overlap(one: Range, two: Range): boolean {
  return inside(one, two.start) || inside(two, one.start);
}

function inside(range: Range, ip: Ip): boolean {
  return ip.family === range.start.family && range.start.value <= ip.value && ip.value <= range.end.value;
}

function familyOf(set: RangeSet): Family {
  return set[0].subnet.ip.family;
}

function formatRange({ start, end }: Range): string {
  return `${start.text}-${end.text}`;
}

function invalid(message: string, details: string): CniError {
  return new CniError(code.invalidConfig, message, { details });
}
