/** The bridge plugin's configuration: keys, defaults and the rules between them, so that a plan gets possible input. */
import * as z from 'zod/mini';
import { parseArgs } from '../../lib/cni/args.ts';
import { CniError, code } from '../../lib/cni/errors.ts';
import { decode } from '../../lib/cni/json.ts';
import { ifnameProblem, quoteShort } from '../../lib/cni/names.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import type { Dns } from '../../lib/cni/result.ts';
import { atLeast } from '../../lib/cni/version.ts';
import { REFERENCE_BACKENDS } from '../../lib/firewall/backend.ts';
import type { Choice } from '../../lib/firewall/decide.ts';
import { IN_SETS, RULE_LAYOUTS, refuseIptables } from '../../lib/firewall/layout.ts';
import { type PortmapConfig, parsePortmapConfig } from '../../lib/hostports/schema.ts';
import type { Family } from '../../lib/net/ip.ts';
import { parseMac } from '../../lib/net/mac.ts';
import { portKeys } from './host-ports.ts';
import { pointlessKeys } from './pointless.ts';
import { gatewayName, parseVlans, trunkSchema, type Vlans } from './vlan.ts';

const flag = z._default(z.boolean(), false);
const texts = z.optional(z.array(z.string()));

/** Every key, with its default (README.md holds the same table). */
export const bridgeSchema = z.object({
  bridge: z._default(z.string(), 'cni0'),
  isGateway: flag,
  isDefaultGateway: flag,
  forceAddress: flag,
  ipMasq: z._default(z.union([z.boolean(), z.enum(['v4', 'v6'])], 'must be true, false, "v4" or "v6"'), false),
  ipMasqBackend: z._default(z.string(), ''),
  ruleLayout: z._default(z.string(), 'reference'),
  mtu: z._default(z.int().check(z.minimum(0), z.maximum(65535)), 0),
  hairpinMode: flag,
  promiscMode: flag,
  vlan: z._default(z.int(), 0),
  vlanTrunk: z.optional(trunkSchema),
  preserveDefaultVlan: flag,
  macspoofchk: flag,
  enabledad: flag,
  disableContainerInterface: flag,
  portIsolation: flag,
  overlap: z._default(z.string(), 'warn'),
  ipamTimeoutSeconds: z._default(z.int().check(z.minimum(1), z.maximum(3600)), 120),
  ipam: z._default(z.object({ type: z._default(z.string(), '') }), { type: '' }),
  dns: z.optional(z.object({ nameservers: texts, domain: z.optional(z.string()), search: texts, options: texts })),
  args: z.optional(z.object({ cni: z.optional(z.object({ mac: z.optional(z.string()) })) })),
  capabilities: z._default(z.record(z.string(), z.boolean()), {}),
  portmap: z.optional(z.record(z.string(), z.unknown())),
  runtimeConfig: z.optional(z.object({ mac: z.optional(z.string()) })),
});

type Keys = z.output<typeof bridgeSchema>;

export interface BridgeConfig {
  /** Name of the bridge. */
  readonly bridge: string;
  readonly isGateway: boolean;
  readonly isDefaultGateway: boolean;
  readonly forceAddress: boolean;
  /** Whose addresses are masqueraded. */
  readonly ipMasq: readonly Family[];
  /** What the configuration wants the rules written in. */
  readonly ipMasqBackend: Choice | undefined;
  /** Bytes; `undefined` leaves it to the kernel. */
  readonly mtu: number | undefined;
  readonly hairpinMode: boolean;
  readonly promiscMode: boolean;
  /** `undefined` where the bridge knows no VLANs. */
  readonly vlans: Vlans | undefined;
  /** Drops what the container sends under another MAC address than its own. */
  readonly macSpoofCheck: boolean;
  readonly portIsolation: boolean;
  /** IPv6 duplicate address detection in the container. */
  readonly enableDad: boolean;
  /** The container's interface stays down. */
  readonly staysDown: boolean;
  /** What becomes of an ADD whose network overlaps with another one of the host. */
  readonly overlap: 'warn' | 'fail';
  /** '' for a bridge without addresses (layer 2 only). */
  readonly ipamType: string;
  readonly ipamTimeoutMs: number;
  /** Replaces the IPAM plugin's when present. */
  readonly dns: Dns | undefined;
  /** The container's MAC address asked for. */
  readonly mac: string | undefined;
  /** Host ports that bridge forwards itself; `undefined` where that is a portmap's job, and in DEL. */
  readonly ports: PortmapConfig | undefined;
  /** A sentence for each key that does nothing beside the others. */
  readonly pointless: readonly string[];
}

/** Throws code 7 for a configuration that is wrong or asks for what is not there, 4 for bad CNI_ARGS. */
export function parseConfig(call: Call): BridgeConfig {
  const keys = decode(bridgeSchema, call.config.raw, 'bridge configuration');
  // DEL needs none of this: it takes away what it can, also of what another bridge plugin made, also after a refused ADD.
  if (call.verb !== 'DEL') requirePossible(call, keys);
  const ports = portKeys(call.config.raw);
  return {
    bridge: keys.bridge,
    isGateway: keys.isGateway || keys.isDefaultGateway,
    isDefaultGateway: keys.isDefaultGateway,
    forceAddress: keys.forceAddress,
    ipMasq: masqueradedFamilies(keys),
    ipMasqBackend: configuredBackend(keys),
    mtu: keys.mtu === 0 ? undefined : keys.mtu,
    hairpinMode: keys.hairpinMode,
    promiscMode: keys.promiscMode,
    vlans: call.verb === 'DEL' ? undefined : parseVlans(keys),
    macSpoofCheck: keys.macspoofchk,
    portIsolation: keys.portIsolation,
    enableDad: keys.enabledad,
    staysDown: keys.disableContainerInterface,
    overlap: keys.overlap === 'fail' ? 'fail' : 'warn',
    ipamType: isItself(keys) ? '' : keys.ipam.type,
    ipamTimeoutMs: keys.ipamTimeoutSeconds * 1000,
    dns: configuredDns(keys.dns),
    mac: call.verb === 'DEL' ? undefined : requestedMac(call, keys),
    ports: call.verb === 'DEL' || ports === undefined ? undefined : parsePortmapConfig(ports),
    pointless: pointlessKeys({ ...keys, takesPorts: ports !== undefined }),
  };
}

function requirePossible(call: Call, keys: Keys): void {
  requireBridgeName(keys.bridge);
  requireExactIfname(call.ifname);
  requireKnownBackend(keys);
  requireKnownLayout(keys);
  if (keys.hairpinMode && keys.promiscMode) {
    throw invalid(
      'cannot set hairpin mode and promiscuous mode at the same time',
      'remove "hairpinMode" or "promiscMode"',
    );
  }
  if (isItself(keys)) throw invalid('invalid "ipam.type": bridge is no IPAM plugin', 'use one such as host-local');
  if (!['warn', 'fail'].includes(keys.overlap))
    throw invalid(`invalid "overlap" ${quoteShort(keys.overlap)}`, 'it is "warn" or "fail"');
  requireIdleContainer(keys);
  requireGatewayName(keys);
  requireDescribable(call, keys);
}

/** None without addresses. */
function masqueradedFamilies({ ipMasq, ipam }: Keys): readonly Family[] {
  if (ipMasq === false || ipam.type === '') return [];
  return ipMasq === true ? [4, 6] : [ipMasq === 'v4' ? 4 : 6];
}

function configuredBackend({ ipMasqBackend, ruleLayout }: Keys): Choice | undefined {
  if (ruleLayout === 'sets') return IN_SETS;
  const backend = REFERENCE_BACKENDS.find((name) => name === ipMasqBackend);
  const why = 'the configuration wants it: it says so by "ipMasqBackend"';
  return backend === undefined ? undefined : { backend, why };
}

function requireKnownBackend({ ipMasq, ipMasqBackend }: Keys): void {
  const isKnown = ['', ...REFERENCE_BACKENDS].includes(ipMasqBackend);
  if (isKnown || ipMasq === false) return;
  throw invalid(
    `unknown ipmasq backend ${JSON.stringify(ipMasqBackend)}`,
    '"ipMasqBackend" may be "iptables" or "nftables"',
  );
}

function requireKnownLayout({ ruleLayout, ipMasqBackend }: Keys): void {
  if (!(RULE_LAYOUTS as readonly string[]).includes(ruleLayout))
    throw invalid(`invalid "ruleLayout" ${quoteShort(ruleLayout)}`, 'it is "reference" or "sets"');
  if (ruleLayout === 'sets') refuseIptables('ipMasqBackend', ipMasqBackend);
}

/** The delegate gets the same configuration, so it would delegate to itself without end. */
function isItself({ ipam }: Keys): boolean {
  return ipam.type === 'bridge';
}

function requireBridgeName(name: string): void {
  const problem = ifnameProblem(name);
  if (problem !== undefined)
    throw invalid(`invalid "bridge" ${quoteShort(name)}: ${problem.message}`, 'use at most 15 letters, digits, - . _');
  // The kernel takes it for a pattern: "br%d" would become another new bridge with every ADD.
  if (name.includes('%'))
    throw invalid(`invalid "bridge" ${quoteShort(name)}: it contains %`, 'use at most 15 letters, digits, - . _');
}

/** The kernel takes `%d` for a pattern: the link would have another name than the runtime was told. */
function requireExactIfname(ifname: string): void {
  if (!ifname.includes('%')) return;
  throw new CniError(code.invalidEnvironment, `invalid CNI_IFNAME ${quoteShort(ifname)}: it contains %`, {
    details: 'the kernel takes that for a pattern; use a name like eth0',
  });
}

function requireIdleContainer({ disableContainerInterface, ipam }: Keys): void {
  if (!disableContainerInterface || ipam.type === '') return;
  throw invalid(
    'cannot use IPAM when DisableContainerInterface flag is set',
    'an interface that stays down has no addresses: remove "disableContainerInterface" or "ipam.type"',
  );
}

/** The gateway of a VLAN is an interface of its own, whose name has to fit as well. */
function requireGatewayName({ bridge, vlan, isGateway, isDefaultGateway, ipam }: Keys): void {
  if (vlan === 0 || ipam.type === '' || !(isGateway || isDefaultGateway)) return;
  const name = gatewayName(bridge, vlan);
  if (ifnameProblem(name) === undefined) return;
  throw invalid(
    `cannot name the gateway of VLAN ${vlan} ${quoteShort(name)}: interface name is too long`,
    'use a shorter "bridge": an interface name has at most 15 characters',
  );
}

/** Results before 0.3.0 have no form for an attachment without addresses: say so before anything is built. */
function requireDescribable(call: Call, keys: Keys): void {
  if (
    call.verb !== 'ADD' ||
    keys.ipam.type !== '' ||
    atLeast(call.config.cniVersion === '' ? '0' : call.config.cniVersion, '0.3.0')
  )
    return;
  throw invalid(
    `cannot describe an attachment without addresses in a result of version ${call.config.cniVersion || '0.1.0'}`,
    'set "cniVersion" to 0.3.0 or newer, or configure "ipam"',
  );
}

function configuredDns(dns: Keys['dns']): Dns | undefined {
  if (dns === undefined) return undefined;
  const { domain = '', nameservers, search, options } = dns;
  const given = domain !== '' || [nameservers, search, options].some((list) => list !== undefined);
  if (!given) return undefined;
  return { domain, nameservers: nameservers ?? [], search: search ?? [], options: options ?? [] };
}

/** Precedence as the reference's: runtimeConfig, then args.cni, then CNI_ARGS. */
function requestedMac(call: Call, keys: Keys): string | undefined {
  const fromArgs = parseArgs(call.args, ['MAC']).MAC ?? '';
  const configured = [keys.runtimeConfig?.mac, keys.args?.cni?.mac].find((mac) => mac !== undefined && mac !== '');
  const text = configured ?? fromArgs;
  if (text === '') return undefined;
  const mac = parseMac(text);
  if (mac !== undefined) return mac;
  const number = configured === undefined ? code.invalidEnvironment : code.invalidConfig;
  throw new CniError(number, `cannot use MAC address ${quoteShort(text)}: it is no unicast MAC address`, {
    details: 'write it like 02:42:ac:11:00:02',
  });
}

function invalid(message: string, details: string): CniError {
  return new CniError(code.invalidConfig, message, { details });
}
