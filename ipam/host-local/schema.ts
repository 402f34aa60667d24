/** The configuration of host-local: keys, defaults and cross-field rules; what comes after sees possible values only. */
import * as z from 'zod/mini';
import { absolutePath, locationOf, type StoreLocation } from '../../lib/attachment/store.ts';
import { parseArgs } from '../../lib/cni/args.ts';
import { CniError, code } from '../../lib/cni/errors.ts';
import { decode } from '../../lib/cni/json.ts';
import type { NetConf } from '../../lib/cni/plugin.ts';
import type { Route } from '../../lib/cni/result.ts';
import { atLeast } from '../../lib/cni/version.ts';
import { formatCidr, type Ip, parseCidr, parseIp } from '../../lib/net/ip.ts';
import { makeRangeSets, type RangeSet, requireOneSetPerFamily } from './ranges.ts';

export interface Config {
  /** runtimeConfig.ipRanges, then the single range, then `ranges`. Empty in STATUS where the runtime supplies them. */
  readonly sets: readonly RangeSet[];
  /** Addresses asked for: CNI_ARGS, then args.cni.ips, then runtimeConfig.ips; each one once. */
  readonly requested: readonly Ip[];
  readonly routes: readonly Route[];
  /** Path of a file like resolv.conf(5), '' when none is configured. */
  readonly resolvConf: string;
  readonly recovery: Recovery;
}

/** What is done about leases that nobody needs any more. */
export interface Recovery {
  /** Whether ADD takes back what is shown dead. */
  readonly reclaim: boolean;
  /** Youngest age at which the attachment of another interface plugin than ours may be found dead. */
  readonly minAgeMs: number;
  /** What STATUS makes of a range without a free address. */
  readonly statusOnExhaustion: 'warn' | 'error';
}

/** A text that `parse` turns into a value; `undefined` from it is an error that starts with `problem`. */
function parsed<T>(parse: (text: string) => T | undefined, problem: string) {
  return z.pipe(
    z.string(),
    z.transform((text, context): T => {
      const value = parse(text);
      if (value !== undefined) return value;
      context.issues.push({ code: 'custom', message: `${problem}: ${text.slice(0, 80)}`, input: text });
      return z.NEVER;
    }),
  );
}

const cidr = parsed(parseCidr, 'invalid CIDR address');
const ip = parsed(parseIp, 'invalid IP address');
/** An empty address is none, as in Go. */
const optionalIp = z.optional(
  z.pipe(
    z.transform((value: unknown) => (value === '' ? undefined : value)),
    z.optional(ip),
  ),
);
const requestedIps = z.prefault(z.array(parsed(parseRequested, 'invalid IP address')), []);

const range = { subnet: z.optional(cidr), rangeStart: optionalIp, rangeEnd: optionalIp, gateway: optionalIp };
const rangeSets = z.prefault(z.array(z.array(z.object(range))), []);

const unsigned32 = z.exactOptional(z.int().check(z.minimum(0), z.maximum(0xffffffff)));
const route = z.object({
  dst: cidr,
  gw: optionalIp,
  mtu: unsigned32,
  advmss: unsigned32,
  priority: unsigned32,
  table: unsigned32,
  scope: z.exactOptional(z.int().check(z.minimum(0), z.maximum(255))),
});

/** The keys of `ipam`; README.md lists them. */
export const ipamSchema = z.object({
  ...range,
  ranges: rangeSets,
  routes: z.prefault(z.array(route), []),
  dataDir: absolutePath,
  resolvConf: absolutePath,
  reclaim: z.prefault(z.boolean(), true),
  reclaimMinAgeSeconds: z.prefault(z.int().check(z.minimum(0), z.maximum(0x7fffffff)), 600),
  statusOnExhaustion: z.prefault(z.enum(['warn', 'error']), 'warn'),
});

const configSchema = z.object({
  ipam: z.optional(ipamSchema),
  runtimeConfig: z.prefault(z.object({ ipRanges: rangeSets, ips: requestedIps }), {}),
  args: z.prefault(z.object({ cni: z.prefault(z.object({ ips: requestedIps }), {}) }), {}),
});

/** The whole configuration. `args` is CNI_ARGS. Throws code 7, and 4 for bad CNI_ARGS. */
export function parseConfig(config: NetConf, args: string): Config {
  const { ipam, runtimeConfig, args: conventions } = decode(configSchema, config.raw, 'network configuration');
  if (ipam === undefined) throw noIpam();
  // A single range counts only with its subnet, as in the reference.
  const single = ipam.subnet === undefined ? [] : [[ipam]];
  const sets = makeRangeSets([...runtimeConfig.ipRanges, ...single, ...ipam.ranges]);
  if (config.cniVersion === '' || !atLeast(config.cniVersion, '0.3.0')) {
    requireOneSetPerFamily(sets, config.cniVersion);
  }
  const requested = [...requestedInArgs(args), ...conventions.cni.ips, ...runtimeConfig.ips];
  return {
    sets,
    requested: [...new Map(requested.map((address) => [address.text, address])).values()],
    routes: ipam.routes.map(makeRoute),
    resolvConf: ipam.resolvConf,
    recovery: {
      reclaim: ipam.reclaim,
      minAgeMs: ipam.reclaimMinAgeSeconds * 1000,
      statusOnExhaustion: ipam.statusOnExhaustion,
    },
  };
}

/** The same for verbs that cannot do without ranges. */
export function parseConfigWithRanges(config: NetConf, args: string): Config {
  const parsedConfig = parseConfig(config, args);
  if (parsedConfig.sets.length > 0) return parsedConfig;
  throw new CniError(code.invalidConfig, 'no IP ranges specified', {
    details: 'set "ipam.ranges" or "ipam.subnet", or have the runtime pass the capability "ipRanges"',
  });
}

/** Where the leases of this network are: all that releasing them takes, and therefore all that is looked at. */
export function parseLocation(config: NetConf): StoreLocation {
  const location = locationOf(config);
  if (location === undefined) throw noIpam();
  return location;
}

function noIpam(): CniError {
  return new CniError(code.invalidConfig, "IPAM config missing 'ipam' key", {
    details: 'host-local is configured by the object at "ipam" of the network configuration',
  });
}

function requestedInArgs(args: string): Ip[] {
  const { IP: text = '' } = parseArgs(args, ['IP']);
  if (text === '') return [];
  const address = parseRequested(text);
  if (address !== undefined) return [address];
  const shown = text.slice(0, 80);
  throw new CniError(
    code.invalidEnvironment,
    `ARGS: error parsing value of pair ${JSON.stringify(`IP=${shown}`)}: invalid IP address ${shown}`,
    { details: 'CNI_ARGS holds an address like IP=10.1.0.5' },
  );
}

/** `10.1.0.5` or `10.1.0.5/24`: the subnet's length counts, whatever this one says. */
function parseRequested(text: string): Ip | undefined {
  return text.includes('/') ? parseCidr(text)?.ip : parseIp(text);
}

function makeRoute({ dst, gw, ...rest }: z.output<typeof route>): Route {
  return { dst: formatCidr(dst), ...(gw === undefined ? {} : { gw: gw.text }), ...rest };
}
