/**
 * What one attachment's portmap ADD forwarded: everything that its rules are made from. DEL makes the same rules from it,
 * also when the runtime hands on neither mappings nor result; other ADDs see whose a port is, and whether they live.
 * Kept by ./port-record-store.ts.
 */
import * as z from 'zod/mini';
import { BACKENDS, type BackendName } from '../firewall/backend.ts';
import type { ChainOwner } from '../iptables/chain-name.ts';
import { type Family, parseCidr, parseIp } from '../net/ip.ts';
import { ifname, type Traces, tracesShape } from './traces.ts';

export interface PortAttachment extends ChainOwner {
  readonly ifname: string;
}

export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** As the runtime spelled it: the reference groups and sorts its rules by that. */
  readonly spelling: string;
  /** Canonical; '' means every address of the host, of both families. `0.0.0.0` and `::` mean every one of theirs. */
  readonly hostIp: string;
}

/** What rules are made from. */
export interface PortForwarding extends PortAttachment {
  /** What its rules are written in. */
  readonly backend: BackendName;
  /** Where to: the attachment's first address of each family, as a CIDR. */
  readonly targets: { readonly [F in Family]?: string | undefined };
  readonly mappings: readonly PortMapping[];
  /** Masquerade what comes from the container's own network and from the host's 127.0.0.1. */
  readonly snat: boolean;
  /** Masquerade all that is forwarded. */
  readonly masqAll: boolean;
  /** The bit of the packet mark that asks for masquerading, 0 to 31. */
  readonly markMasqBit: number;
  /** A chain of somebody else's that marks instead of ours. */
  readonly externalSetMarkChain?: string | undefined;
  /** Words of a rule that narrow down what is forwarded. */
  readonly conditions: { readonly [F in Family]: readonly string[] };
  /** Networks, as CIDRs, that the host has addresses of and does not forward. */
  readonly excludes?: { readonly [F in Family]: readonly string[] } | undefined;
}

export interface PortRecord extends PortForwarding {
  readonly state: 'adding' | 'added';
  /** Asked for as well, and left to another network of the same container, which forwarded them first. */
  readonly ceded: readonly PortMapping[];
  /** The interface plugin that forwards them itself; absent where portmap does. */
  readonly takenBy?: 'bridge' | undefined;
  /** Absent in records of old. */
  readonly traces?: Traces | undefined;
  /** The link by which packets from 127.0.0.1 leave, where they are let through; absent where nobody needs that. */
  readonly localnet?: Localnet | undefined;
}

export interface Localnet {
  readonly link: string;
  /** Whether it let them through before any of us asked for it: then it will after all of us. */
  readonly wasOpen: boolean;
}

const port = z.int().check(z.minimum(1), z.maximum(65535));
const network = z.string().check(z.refine((text) => parseCidr(text) !== undefined));
const target = z.optional(network);
const ruleWord = z.string().check(z.regex(/^[^\n\r\0]+$/));

const mapping = z.object({
  hostPort: port,
  containerPort: port,
  protocol: z.enum(['tcp', 'udp', 'sctp']),
  spelling: z.string().check(z.regex(/^[a-z]+$/i)),
  hostIp: z.string().check(z.refine((text) => text === '' || parseIp(text) !== undefined)),
});

export const localnetSchema = z.object({ link: ifname, wasOpen: z.boolean() });

const recordSchema = z.object({
  version: z.union([z.literal(1), z.literal(2)]),
  network: z.string(),
  containerId: z.string(),
  ifname: z.string(),
  backend: z._default(z.enum(BACKENDS), 'iptables'),
  targets: z.object({ 4: target, 6: target }),
  mappings: z.array(mapping),
  snat: z.boolean(),
  masqAll: z.boolean(),
  markMasqBit: z.int().check(z.minimum(0), z.maximum(31)),
  externalSetMarkChain: z.optional(ruleWord),
  conditions: z.object({ 4: z.array(ruleWord), 6: z.array(ruleWord) }),
  excludes: z.optional(z.object({ 4: z.array(network), 6: z.array(network) })),
  ceded: z._default(z.array(mapping), []),
  takenBy: z.optional(z.literal('bridge')),
  traces: z.optional(z.object(tracesShape)),
  localnet: z.optional(localnetSchema),
  state: z._default(z.enum(['adding', 'added']), 'added'),
});

/** `text` may be torn, and rules are made from it. */
export function parseRecord(text: string): PortRecord | 'damaged' {
  try {
    const parsed = z.safeParse(recordSchema, JSON.parse(text));
    if (!parsed.success) return 'damaged';
    const { version: _, ...record } = parsed.data;
    return record;
  } catch {
    return 'damaged';
  }
}

/** Whoever knows version 1 only would look for iptables rules: to him the record of others has to be unreadable. */
export function renderRecord(record: PortRecord): string {
  const values: { readonly [key: string]: unknown } = { ...record, version: record.backend === 'iptables' ? 1 : 2 };
  // In one order, wherever the values come from: what a failed ADD puts back is the same text again.
  return JSON.stringify(Object.fromEntries(Object.keys(recordSchema.shape).map((key) => [key, values[key]])));
}
