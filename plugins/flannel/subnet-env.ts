/** The text of subnet.env, in which flanneld says what this node has been given. */
import { CniError, code } from '../../lib/cni/errors.ts';
import { quoteShort } from '../../lib/cni/names.ts';
import { type Cidr, formatCidr, networkOf, parseCidr } from '../../lib/net/ip.ts';

export interface SubnetEnv {
  /** The cluster's, IPv4 before IPv6. */
  readonly networks: readonly Cidr[];
  /** This node's, at most one of each family, IPv4 first; without host bits. */
  readonly subnets: readonly Cidr[];
  /** Bytes; `undefined` where nobody knows any more. */
  readonly mtu: number | undefined;
  /** Whether flanneld masquerades, so that the delegate need not. */
  readonly ipMasq: boolean;
}

const NETWORK = ['FLANNEL_NETWORK', 'FLANNEL_IPV6_NETWORK'] as const;
const SUBNET = ['FLANNEL_SUBNET', 'FLANNEL_IPV6_SUBNET'] as const;
const MTU = ['FLANNEL_MTU'] as const;
const IP_MASQ = ['FLANNEL_IPMASQ'] as const;

/** None may be missing; the keys of a group stand for each other. */
const REQUIRED = [NETWORK, SUBNET, MTU, IP_MASQ];
type Key = (typeof REQUIRED)[number][number];

/** What it says, or the keys that it lacks, as a half-written one does. Throws code 7 for a bad value. */
export function parseSubnetEnv(text: string): SubnetEnv | { readonly missing: readonly string[] } {
  const values = valuesIn(text);
  const missing = REQUIRED.filter((group) => group.every((key) => !values.has(key))).flat();
  if (missing.length > 0) return { missing };
  const read = <T>(keys: readonly Key[], parse: (value: string, key: Key) => T[]) =>
    keys.flatMap((key) => {
      const value = values.get(key);
      return value === undefined ? [] : parse(value, key);
    });
  return {
    networks: distinct(read(NETWORK, (value, key) => value.split(',').map((cidr) => requireCidr(cidr, key)))),
    subnets: distinct(read(SUBNET, (value, key) => [requireCidr(value, key)])),
    mtu: read(MTU, (value) => [requireMtu(value)])[0],
    ipMasq: values.get('FLANNEL_IPMASQ') === 'true',
  };
}

/** The networks that `cidrs` are of, each one once. */
export function distinct(cidrs: readonly Cidr[]): Cidr[] {
  const networks = cidrs.map((cidr): Cidr => ({ ip: networkOf(cidr), prefix: cidr.prefix }));
  return [...new Map(networks.map((network) => [formatCidr(network), network])).values()];
}

/** Lines `KEY=VALUE` with a key that is known, the last one of each. A key without value is none, nor is a cut-off one. */
function valuesIn(text: string): Map<Key, string> {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  const unfinished = lines.length - 1;
  const entries = lines.flatMap((line, index): [Key, string][] => {
    const [name, ...rest] = line.split('=');
    const key = REQUIRED.flat().find((known) => known === name);
    const value = rest.join('=');
    if (key === undefined || rest.length === 0 || (index === unfinished && isCutOff(key, value))) return [];
    return [[key, value]];
  });
  return new Map(entries);
}

/** Without a line's end this may be the first part of a value: it is, when it makes no sense by itself. */
function isCutOff(key: Key, value: string): boolean {
  if (key === 'FLANNEL_IPMASQ') return value !== 'true' && value !== 'false';
  if (key === 'FLANNEL_MTU') return !isMtu(value);
  return value.split(',').some((cidr) => parseCidr(cidr) === undefined);
}

function requireCidr(text: string, key: Key): Cidr {
  const cidr = parseCidr(text);
  if (cidr === undefined) throw badValue(key, text, 'no CIDR like 10.244.1.0/24');
  return cidr;
}

function requireMtu(text: string): number {
  if (!isMtu(text)) throw badValue('FLANNEL_MTU', text, 'no number of bytes');
  return Number(text);
}

function isMtu(text: string): boolean {
  return /^\d{1,10}$/.test(text) && Number(text) <= 0xffffffff;
}

function badValue(key: Key, value: string, problem: string): CniError {
  return new CniError(code.invalidConfig, `invalid ${key}: ${quoteShort(value)} is ${problem}`);
}
