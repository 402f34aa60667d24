/** VLANs: what the configuration asks for, and the lines of bridge(8) that make a port so. Pure. */
import * as z from 'zod/mini';
import { CniError, code } from '../../lib/cni/errors.ts';
import type { BridgeCommand } from '../../lib/iproute2/batch.ts';
import type { PortVlan } from '../../lib/iproute2/show.ts';

/** 0 and 4095 are reserved (IEEE 802.1Q). */
const FIRST = 1;
const LAST = 4094;

const number = z.optional(z.int());

/** Items of `vlanTrunk`: a range, one ID, or both. */
export const trunkSchema = z.array(z.object({ minID: number, maxID: number, id: number }));

type TrunkItem = z.output<typeof trunkSchema>[number];

export interface Vlans {
  /** What is untagged on the port; 0 for none asked for. */
  readonly native: number;
  /** What is tagged on it: ascending, each once. */
  readonly trunk: readonly number[];
  /** Whether the port stays in the VLANs that the bridge put it into. */
  readonly keepsDefault: boolean;
}

interface Keys {
  readonly vlan: number;
  readonly vlanTrunk?: readonly TrunkItem[] | undefined;
  readonly preserveDefaultVlan: boolean;
}

/** `undefined` where nothing is asked for; an empty `vlanTrunk` still makes the bridge filter. Throws code 7. */
export function parseVlans({ vlan, vlanTrunk, preserveDefaultVlan }: Keys): Vlans | undefined {
  if (vlan < 0 || vlan > LAST)
    throw invalid(`invalid VLAN ID ${vlan} (must be between 0 and ${LAST})`, 'correct "vlan"; 0 means none');
  if (vlan === 0 && vlanTrunk === undefined) return undefined;
  const trunk = new Set((vlanTrunk ?? []).flatMap(idsOf));
  return { native: vlan, trunk: [...trunk].sort((one, two) => one - two), keepsDefault: preserveDefaultVlan };
}

function idsOf({ minID, maxID, id }: TrunkItem): number[] {
  return [...rangeOf(minID, maxID), ...(id === undefined ? [] : [requireId(id, 'id')])];
}

function rangeOf(minID: number | undefined, maxID: number | undefined): number[] {
  if (minID === undefined && maxID === undefined) return [];
  if (minID === undefined || maxID === undefined) {
    const missing = minID === undefined ? 'minID' : 'maxID';
    throw invalid(`minID and maxID should be configured simultaneously, ${missing} is missing`, `add "${missing}"`);
  }
  const first = requireId(minID, 'minID');
  const last = requireId(maxID, 'maxID');
  if (first > last) throw invalid('minID is greater than maxID in trunk parameter', `${first} is more than ${last}`);
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

function requireId(id: number, key: string): number {
  if (id >= FIRST && id <= LAST) return id;
  throw invalid(`incorrect trunk ${key} parameter`, `it is ${id} and must be between ${FIRST} and ${LAST}`);
}

function invalid(message: string, details: string): CniError {
  return new CniError(code.invalidConfig, message, { details });
}

/** The interface that holds the gateway addresses of `vlan`: the far end of a port of `bridge`. */
export function gatewayName(bridge: string, vlan: number): string {
  return `${bridge}.${vlan}`;
}

/** Whether `name` is the gateway interface of some VLAN of `bridge`. */
export function isGatewayName(bridge: string, name: string): boolean {
  return name.startsWith(`${bridge}.`) && /^\d+$/.test(name.slice(bridge.length + 1));
}

/**
 * For a port that was just made. In the reference's order, since the last line about an ID wins: it tags a native one
 * that is also in the trunk. The VLANs that the bridge gave the port are taken away whichever they are: the kernel
 * does not mind those of the range that are not there.
 */
export function planPortVlans(port: string, { native, trunk, keepsDefault }: Vlans): BridgeCommand[] {
  if (native === 0 && trunk.length === 0) return [];
  return [
    ...(keepsDefault ? [] : [['vlan', 'del', 'dev', port, 'vid', `${FIRST}-${LAST}`, 'master']]),
    ...(native === 0 ? [] : [untagged(port, native)]),
    ...rangesOf(trunk).map((range) => ['vlan', 'add', 'dev', port, 'vid', range, 'master']),
    // What comes untagged into a trunk without a native VLAN.
    ...(native === 0 ? [untagged(port, 1)] : []),
  ];
}

function untagged(port: string, id: number): BridgeCommand {
  return ['vlan', 'add', 'dev', port, 'vid', String(id), 'pvid', 'untagged', 'master'];
}

/** `[1, 2, 3, 7]` as `1-3`, `7`. */
function rangesOf(ids: readonly number[]): string[] {
  const ranges: { first: number; last: number }[] = [];
  for (const id of ids) {
    const range = ranges.at(-1);
    if (range?.last === id - 1) range.last = id;
    else ranges.push({ first: id, last: id });
  }
  return ranges.map(({ first, last }) => (first === last ? String(first) : `${first}-${last}`));
}

/** The gateway's port: in its VLAN alone. Where it is there already, whoever made it may have been stopped half-way. */
export function planGatewayVlans(port: string, { native, keepsDefault }: Vlans, isNew: boolean): BridgeCommand[] {
  return isNew ? planPortVlans(port, { native, trunk: [], keepsDefault }) : [untagged(port, native)];
}

/** What a port made by planPortVlans() lacks of its VLANs or has beside them; `undefined` when it is as it should be. */
export function vlanDifference(vlans: Vlans, present: readonly PortVlan[]): string | undefined {
  const found = new Map(present.flatMap((one) => spread(one)));
  const wanted = wantedVlans(vlans);
  for (const [id, kind] of wanted) {
    const is = found.get(id);
    if (is !== kind) return `VLAN ${id} is ${is ?? 'missing'}, expected ${kind}`;
  }
  const extra = vlans.keepsDefault ? undefined : [...found.keys()].find((id) => !wanted.has(id));
  return extra === undefined ? undefined : `VLAN ${extra} is ${found.get(extra)}, expected missing`;
}

function spread({ vlan, vlanEnd = vlan, flags = [] }: PortVlan): [number, string][] {
  const untaggedText = flags.includes('Egress Untagged') ? 'untagged' : 'tagged';
  const kind = flags.includes('PVID') ? `native and ${untaggedText}` : untaggedText;
  return Array.from({ length: vlanEnd - vlan + 1 }, (_, index) => [vlan + index, kind]);
}

/** As planPortVlans() leaves them. */
function wantedVlans({ native, trunk }: Vlans): Map<number, string> {
  const wanted = new Map<number, string>();
  if (native !== 0) wanted.set(native, NATIVE);
  for (const id of trunk) wanted.set(id, 'tagged');
  if (native === 0 && trunk.length > 0) wanted.set(1, NATIVE);
  return wanted;
}

const NATIVE = 'native and untagged';
