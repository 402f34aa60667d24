/** Who else claims ports of this host, and whether they live: by records, and by rules that have none. */
import { DEFAULT_MIN_AGE_MS } from '../attachment/collect.ts';
import { type Judgement, judgePortHolder, type ObservedHost } from '../attachment/liveness.ts';
import { observeHost } from '../attachment/observe.ts';
import { claimsOf, contested } from '../attachment/port-claims.ts';
import type { PortRecord } from '../attachment/port-record.ts';
import { isRecordLocked, readAllRecords, readRecord, STATE_FOLDER } from '../attachment/port-record-store.ts';
import { mayMeetStrangers, type PortRegistry, recordsMeeting, withStrangers } from '../attachment/port-registry.ts';
import { judgeStranger } from '../attachment/stranger.ts';
import { leaveTraces, type Traces } from '../attachment/traces.ts';
import { ifnameProblem } from '../cni/names.ts';
import type { Call, Host } from '../cni/plugin.ts';
import type { Result } from '../cni/result.ts';
import { backendsInUse } from '../firewall/choice.ts';
import { cookieAt } from '../linux/netns.ts';
import { parseMac } from '../net/mac.ts';
import { backends } from './backends.ts';
import { type Forwarding, familiesOf, targetOf } from './forwarding.ts';
import type { Holder } from './ownership.ts';

export interface FoundHolder extends Holder {
  /** What its rules are made from. */
  readonly forwardings: readonly Forwarding[];
}

/** The other attachments of this host that claim a port of `wanted`, each one judged. */
export function findHolders(registry: PortRegistry, wanted: Forwarding): FoundHolder[] {
  const records = recordsMeeting(registry, wanted, wanted.mappings);
  if (records.length === 0) return [];
  const observed = observeHost(STATE_FOLDER, { minAgeMs: DEFAULT_MIN_AGE_MS });
  return records
    .filter(({ traces }) => traces === undefined || !isElsewhere(traces, observed))
    .map((record): FoundHolder => {
      const { network, containerId, mappings, traces } = record;
      const known = { pod: traces?.pod, sinceMs: traces?.timeMs, claims: claimsOf(mappings) };
      return { network, containerId, ...known, forwardings: [record], isRecorded: true, ...judge(record, observed) };
    });
}

function judge(record: PortRecord, observed: ObservedHost): Judgement {
  const { state, traces } = record;
  if (traces === undefined) return { verdict: 'unknown', why: 'its record is of an older version' };
  const judged = judgePortHolder({ state, ...traces }, observed, isRecordLocked(record) ? 'locked' : 'free');
  return judged.verdict !== 'dead' && wasDeletedByOthers(record, traces, observed)
    ? { verdict: 'dead', why: 'its link is gone, and its rules are, too: somebody else deleted it' }
    : judged;
}

/** As the reference does, which knows nothing of records: the namespace may well be there for longer. */
function wasDeletedByOthers(record: PortRecord, { hostLink }: Traces, observed: ObservedHost): boolean {
  const links = observed.links();
  if (record.state === 'adding' || hostLink === undefined || links === undefined) return false;
  if (links.names.has(hostLink.name) || links.macs.has(hostLink.mac)) return false;
  return !backends[record.backend].isForwarding(record);
}

export interface Strangers {
  readonly registry: PortRegistry;
  readonly holders: readonly FoundHolder[];
}

/**
 * Rules without a record that claim a port of `wanted`, such as the reference's. They are looked for once per boot, and
 * again when what was found then stands in the way. Throws ToolError.
 */
export function findStrangers(registry: PortRegistry, wanted: Forwarding, warn: Host['warn']): Strangers {
  if (!mayMeetStrangers(registry, wanted.mappings)) return { registry, holders: [] };
  // Rules of its own container on its own network are for the plan to replace.
  const known = [...readAllRecords(), wanted];
  const found = backendsInUse(wanted.backend).flatMap((backend) => backends[backend].strangers(known));
  const claims = claimsOf(wanted.mappings);
  const groups = Map.groupBy(found, ({ backend, network, containerId }) => `${backend}\n${network}\n${containerId}`);
  const inTheWay = [...groups.values()].filter((group) =>
    group.some(({ mappings }) => contested(mappings, claims).length > 0),
  );
  return {
    registry: withStrangers(
      registry,
      found.flatMap(({ mappings }) => mappings),
    ),
    holders: inTheWay.flatMap((group) => strangerOf(group, warn)),
  };
}

/** All that one container has: it is dead as a whole or not at all. */
function strangerOf(group: readonly Forwarding[], warn: Host['warn']): FoundHolder[] {
  const [first] = group;
  if (first === undefined) return [];
  const { network, containerId } = first;
  const addresses = group.flatMap((one) => familiesOf(one).flatMap((family) => targetOf(one, family)?.ip.text ?? []));
  const judgement = judgeStranger({ network, containerId, addresses }, warn);
  const claims = claimsOf(group.flatMap(({ mappings }) => mappings));
  return [{ network, containerId, claims, forwardings: group, isRecorded: false, ...judgement }];
}

/** Its rules are in another network namespace of this very boot, and so are its ports. */
function isElsewhere(traces: Traces, here: ObservedHost): boolean {
  const isKnown = traces.bootId === here.bootId && traces.hostNetns !== '' && here.hostNetns !== '';
  return isKnown && traces.hostNetns !== here.hostNetns;
}

/**
 * True when the plugin that made the container's interface has forwarded all of `wanted` itself: this very interface, which
 * left `traces`, and not one of before, whose DEL never came.
 */
export function isTakenByInterface(wanted: Forwarding, { bootId, hostLink }: Traces): boolean {
  const read = readRecord(wanted);
  if (read === undefined || read === 'damaged' || read.takenBy === undefined || read.state !== 'added') return false;
  const made = read.traces;
  // Both are random for each interface.
  if (made?.bootId !== bootId || hostLink === undefined || made.hostLink?.name !== hostLink.name) return false;
  if (made.hostLink.mac !== hostLink.mac) return false;
  const taken = new Set([...read.mappings, ...read.ceded].map(mappingText));
  return wanted.mappings.every((mapping) => taken.has(mappingText(mapping)));
}

function mappingText({ protocol, hostIp, hostPort, containerPort }: Forwarding['mappings'][number]): string {
  return [protocol, hostIp, hostPort, containerPort].join(' ');
}

/** For the record of this ADD. */
export function tracesOf({ netns, args, ifname }: Call, result: Result): Traces {
  const hostLink = hostLinkOf(result, ifname);
  const traces = leaveTraces({ netns, args, containerNetns: cookieAt(netns) ?? '' });
  return hostLink === undefined ? traces : { ...traces, hostLink };
}

/** Interface plugins that make a pair name the host's end right before the container's. */
function hostLinkOf({ interfaces }: Result, ifname: string): Traces['hostLink'] {
  const at = interfaces.findIndex(({ name, sandbox = '' }) => name === ifname && sandbox !== '');
  const before = interfaces[at - 1];
  const mac = parseMac(before?.mac ?? '');
  if (before === undefined || mac === undefined || ifnameProblem(before.name) !== undefined) return undefined;
  if ((before.sandbox ?? '') !== '') return undefined;
  return { name: before.name, mac };
}
