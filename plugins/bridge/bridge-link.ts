/** The bridge itself: made when missing, put right when it can be, refused when the name belongs to something else. */
import { CniError, code } from '../../lib/cni/errors.ts';
import { ToolError } from '../../lib/exec.ts';
import { type IpCommand, runBatch } from '../../lib/iproute2/batch.ts';
import { type LinkInfo, showLinks } from '../../lib/iproute2/show.ts';
import { linkNames } from '../../lib/linux/links.ts';
import { randomHex } from '../../lib/linux/random.ts';
import { writeSysctl } from '../../lib/linux/sysctl.ts';
import type { Cidr } from '../../lib/net/ip.ts';
import { randomMac } from '../../lib/net/mac.ts';
import { fitsBeside, type Holder, planGatewayAddresses, planLinkLocal } from './gateway-addresses.ts';
import type { BridgeConfig } from './schema.ts';
import { gatewayName } from './vlan.ts';
import { withoutVlanSupport } from './vlan-port.ts';

/** How often we look again after another ADD changed the bridge between our looking and our writing. */
const MAX_ATTEMPTS = 20;

/** What a plan looks at: the bridge, and the interface that is gateway of the VLAN asked for. */
export interface Seen {
  readonly bridge: LinkInfo | undefined;
  readonly gateway: LinkInfo | undefined;
}

/** The gateway of a VLAN: one end of a pair whose other end is a port of the bridge. */
export interface VlanGateway {
  readonly name: string;
  readonly mac: string;
  /** `undefined` where the interface is no pair of ours. */
  readonly port: string | undefined;
  readonly isNew: boolean;
}

export interface Made {
  readonly mac: string;
  readonly gateway: VlanGateway | undefined;
}

/** What is asked of others, and only where the bridge is not what the configuration says. */
export interface Surroundings {
  /** Ports of what lives or may live. */
  livingPorts(): readonly string[];
  /** No other ADD is between making the bridge and joining it from now on. */
  makeExclusive(): Promise<void>;
  warn(message: string): void;
}

/** Makes the bridge what `config` and `gateways` (addresses with prefix) ask for; who has just looked gives `known`. Throws. */
export async function ensureBridge(
  config: BridgeConfig,
  gateways: readonly Cidr[],
  around: Surroundings,
  known?: Seen,
): Promise<Made> {
  const names = freshNames(vlanGatewayName(config, gateways));
  let seen = known ?? look(config, gateways);
  const isNew = seen.bridge === undefined;
  let isExclusive = false;
  for (let attempt = 1; ; attempt += 1) {
    const ports = isAsAsked({ config, gateways, seen }) ? undefined : around.livingPorts();
    if (ports?.length === 0 && !isExclusive) {
      await around.makeExclusive();
      isExclusive = true;
      seen = look(config, gateways);
      continue;
    }
    const { commands, warnings, made } = planBridge({ config, gateways, seen, names, ports });
    try {
      runBatch(commands);
      // Also when it took two attempts, or another ADD was faster.
      if (isNew) refuseRouterAdvertisements(config.bridge);
      if (made.gateway?.isNew === true && made.gateway.port !== undefined)
        refuseRouterAdvertisements(made.gateway.port);
      for (const warning of warnings) around.warn(warning);
      return made;
    } catch (error) {
      const now = look(config, gateways);
      const isRace = error instanceof ToolError && attempt < MAX_ATTEMPTS && !sameLinks(seen, now);
      if (!isRace) throw withoutVlanSupport(config, error);
      seen = now;
    }
  }
}

function look(config: BridgeConfig, gateways: readonly Cidr[]): Seen {
  const gateway = vlanGatewayName(config, gateways);
  const links = showLinks([config.bridge, ...(gateway === undefined ? [] : [gateway])]);
  const named = (name: string | undefined) => links.find(({ ifname }) => ifname === name);
  return { bridge: named(config.bridge), gateway: named(gateway) };
}

/** `undefined` where the bridge itself has the gateway addresses, or nobody has. */
export function vlanGatewayName({ bridge, vlans }: BridgeConfig, gateways: readonly Cidr[]): string | undefined {
  const vlan = vlans?.native ?? 0;
  return vlan === 0 || gateways.length === 0 ? undefined : gatewayName(bridge, vlan);
}

/**
 * By what a plan looks at (a bridge's timers differ at each look); it also tells apart two looks of which one was before
 * another ADD's batch had ended.
 */
function sameLinks(one: Seen, two: Seen): boolean {
  const seen = (link: LinkInfo | undefined) =>
    link && [link.ifindex, link.address, link.flags, link.mtu, link.linkinfo?.info_kind, link.addr_info];
  const text = ({ bridge, gateway }: Seen) => JSON.stringify([seen(bridge), seen(gateway)]);
  return text(one) === text(two);
}

function refuseRouterAdvertisements(link: string): void {
  try {
    writeSysctl(`net/ipv6/conf/${link}/accept_ra`, '0');
  } catch {
    // A read-only /proc/sys: the bridge works without, it only may pick up a router's prefix.
  }
}

/** For what has to be made. */
export interface FreshNames {
  readonly bridgeMac: string;
  /** Of a VLAN; `undefined` where there is none. */
  readonly gateway: FreshGateway | undefined;
}

interface FreshGateway {
  readonly name: string;
  readonly mac: string;
  readonly port: string;
  readonly portMac: string;
}

function freshNames(gateway: string | undefined): FreshNames {
  const pair = gateway === undefined ? undefined : { name: gateway, mac: randomMac() };
  return { bridgeMac: randomMac(), gateway: pair && { ...pair, port: freeVethName(), portMac: randomMac() } };
}

/** A random name that no link has: what a failed ADD takes back by this name must be its own. */
export function freeVethName(): string {
  const taken = linkNames();
  for (;;) {
    const name = `veth${randomHex(4)}`;
    if (!taken.has(name)) return name;
  }
}

export interface BridgeInput {
  readonly config: BridgeConfig;
  readonly gateways: readonly Cidr[];
  readonly seen: Seen;
  readonly names: FreshNames;
  /** Living ports; `undefined` where nothing depends on them. */
  readonly ports?: readonly string[] | undefined;
}

export interface BridgePlan {
  readonly made: Made;
  readonly commands: readonly IpCommand[];
  readonly warnings: readonly string[];
}

/**
 * The batch that is left to do, and the MAC addresses that there are then. They are pinned (set explicitly), since a
 * bridge would otherwise take over the lowest of its ports' and change with every pod.
 */
export function planBridge(input: BridgeInput): BridgePlan {
  const { config, gateways, seen, names, ports } = input;
  const mac = seen.bridge?.address ?? names.bridgeMac;
  const gateway = planGateway(input);
  const bridge = { name: config.bridge, mac, seen: seen.bridge };
  const holder = gateway === undefined ? bridge : { name: gateway.name, mac: gateway.mac, seen: seen.gateway };
  const drift = planDrift(input);
  const addresses = planGatewayAddresses({ config, gateways, holder, ports });
  const linkLocal = planLinkLocal(gateways, holder);
  return {
    made: { mac, gateway },
    commands: [
      ...planLink(input, mac),
      ...drift.commands,
      ...(gateway === undefined ? linkLocal : []),
      ...up(bridge),
      ...planPair(input),
      ...(gateway === undefined ? [] : [...linkLocal, ...up(holder)]),
      ...addresses.commands,
    ],
    warnings: [...drift.warnings, ...addresses.warnings],
  };
}

function up({ name, seen }: Holder): IpCommand[] {
  return seen?.flags.includes('UP') === true ? [] : [['link', 'set', 'dev', name, 'up']];
}

function planLink({ config, seen: { bridge: seen } }: BridgeInput, mac: string): IpCommand[] {
  const { bridge } = config;
  if (seen !== undefined && seen.linkinfo?.info_kind !== 'bridge') {
    throw new CniError(code.conflict, `cannot use "${bridge}" as bridge: it already exists but is not a bridge`, {
      details: `it is ${seen.linkinfo?.info_kind ?? 'a device'} of its own; set "bridge" to another name or delete it`,
    });
  }
  const filtering = config.vlans === undefined ? [] : ['vlan_filtering', '1'];
  const promisc = config.promiscMode && seen?.flags.includes('PROMISC') !== true;
  return [
    ...(seen === undefined
      ? [['link', 'add', 'name', bridge, 'address', mac, ...mtuWords(config.mtu), 'type', 'bridge', ...filtering]]
      : []),
    ...(promisc ? [['link', 'set', 'dev', bridge, 'promisc', 'on']] : []),
  ];
}

function mtuWords(mtu: number | undefined): string[] {
  return mtu === undefined ? [] : ['mtu', String(mtu)];
}

function planGateway({ seen: { gateway: seen }, names: { gateway } }: BridgeInput): VlanGateway | undefined {
  if (gateway === undefined) return undefined;
  const { name, mac, port } = gateway;
  if (seen === undefined) return { name, mac, port, isNew: true };
  const presentPort = seen.linkinfo?.info_kind === 'veth' ? seen.link : undefined;
  return { name, mac: seen.address ?? '', port: presentPort, isNew: false };
}

/** The pair of a VLAN's gateway; the gateway has the bridge's MTU, as a port that had less would take it down. */
function planPair({ config, seen, names: { gateway } }: BridgeInput): IpCommand[] {
  if (gateway === undefined || seen.gateway !== undefined) return [];
  const mtu = mtuWords(seen.bridge?.mtu ?? config.mtu);
  const near = ['name', gateway.port, 'address', gateway.portMac, ...mtu, 'txqueuelen', '0', 'master', config.bridge];
  return [['link', 'add', ...near, 'up', 'type', 'veth', 'peer', 'name', gateway.name, 'address', gateway.mac, ...mtu]];
}

/**
 * What an existing bridge has other than the configuration: put right where no living port hangs on it, else only told:
 * the ports of others were made for what it has.
 */
function planDrift({ config, seen: { bridge: seen }, ports }: BridgeInput): Pick<BridgePlan, 'commands' | 'warnings'> {
  const differences = seen === undefined ? [] : driftOf(config, seen);
  const isIdle = ports?.length === 0;
  return {
    commands: isIdle ? differences.map(({ fix }) => fix) : [],
    warnings: isIdle ? [] : differences.map(({ warning, fix }) => `${warning}; run "ip ${fix.join(' ')}"`),
  };
}

function driftOf({ bridge, mtu, vlans }: BridgeConfig, seen: LinkInfo): { warning: string; fix: IpCommand }[] {
  const set = (...words: string[]) => ['link', 'set', 'dev', bridge, ...words];
  const isFlat = vlans !== undefined && seen.linkinfo?.info_data?.vlan_filtering === 0;
  const mtuDiffers = mtu !== undefined && seen.mtu !== mtu;
  return [
    ...(mtuDiffers
      ? [{ warning: `mtu of bridge ${bridge} is ${seen.mtu}, config says ${mtu}`, fix: set('mtu', String(mtu)) }]
      : []),
    ...(isFlat
      ? [
          {
            warning: `bridge ${bridge} does not filter VLANs, they keep nothing apart`,
            fix: set('type', 'bridge', 'vlan_filtering', '1'),
          },
        ]
      : []),
  ];
}

/** False where what is to be done depends on who is on the bridge. Pure. */
export function isAsAsked({ config, gateways, seen }: Pick<BridgeInput, 'config' | 'gateways' | 'seen'>): boolean {
  if (seen.bridge === undefined) return true;
  const holder = vlanGatewayName(config, gateways) === undefined ? seen.bridge : seen.gateway;
  return (config.forceAddress || fitsBeside(gateways, holder)) && driftOf(config, seen.bridge).length === 0;
}
