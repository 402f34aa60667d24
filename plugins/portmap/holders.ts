/** Who else claims ports of this host, and whether they live: read from the records and from what they lead to. */
import { DEFAULT_MIN_AGE_MS } from '../../lib/attachment/collect.ts';
import { type Judgement, judgePortHolder, type ObservedHost } from '../../lib/attachment/liveness.ts';
import { observeHost } from '../../lib/attachment/observe.ts';
import { claimsOf } from '../../lib/attachment/port-claims.ts';
import type { PortRecord } from '../../lib/attachment/port-record.ts';
import { isRecordLocked, STATE_FOLDER } from '../../lib/attachment/port-record-store.ts';
import { type PortRegistry, recordsMeeting } from '../../lib/attachment/port-registry.ts';
import { leaveTraces, type Traces } from '../../lib/attachment/traces.ts';
import { ifnameProblem } from '../../lib/cni/names.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import type { Result } from '../../lib/cni/result.ts';
import { cookieAt } from '../../lib/linux/netns.ts';
import { parseMac } from '../../lib/net/mac.ts';
import type { Forwarding } from './forwarding.ts';
import type { Holder } from './ownership.ts';

export interface RecordHolder extends Holder {
  readonly record: PortRecord;
}

/** The other attachments of this host that claim a port of `wanted`, each one judged. */
export function findHolders(registry: PortRegistry, wanted: Forwarding): RecordHolder[] {
  const records = recordsMeeting(registry, wanted, wanted.mappings);
  if (records.length === 0) return [];
  const observed = observeHost(STATE_FOLDER, { minAgeMs: DEFAULT_MIN_AGE_MS });
  return records
    .filter(({ traces }) => traces === undefined || !isElsewhere(traces, observed))
    .map((record): RecordHolder => {
      const { network, containerId, mappings, traces } = record;
      const known = { pod: traces?.pod, sinceMs: traces?.timeMs, claims: claimsOf(mappings) };
      return { record, network, containerId, ...known, isRecorded: true, ...judge(record, observed) };
    });
}

function judge(record: PortRecord, observed: ObservedHost): Judgement {
  const { state, traces } = record;
  if (traces === undefined) return { verdict: 'unknown', why: 'its record is of an older version' };
  return judgePortHolder({ state, ...traces }, observed, isRecordLocked(record) ? 'locked' : 'free');
}

/** Its rules are in another network namespace of this very boot, and so are its ports. */
function isElsewhere(traces: Traces, here: ObservedHost): boolean {
  const isKnown = traces.bootId === here.bootId && traces.hostNetns !== '' && here.hostNetns !== '';
  return isKnown && traces.hostNetns !== here.hostNetns;
}

/** For the record of this ADD. */
export function tracesOf({ netns, args, ifname }: Call, result: Result): Traces {
  const hostLink = hostLinkOf(result, ifname);
  const traces = leaveTraces({ netns, args, containerNetns: cookieAt(netns) ?? '' });
  return hostLink === undefined ? traces : { ...traces, hostLink };
}

/** Interface plugins that make a pair name the host's end right before the container's. */
export function hostLinkOf({ interfaces }: Result, ifname: string): Traces['hostLink'] {
  const at = interfaces.findIndex(({ name, sandbox = '' }) => name === ifname && sandbox !== '');
  const before = interfaces[at - 1];
  const mac = parseMac(before?.mac ?? '');
  if (before === undefined || mac === undefined || ifnameProblem(before.name) !== undefined) return undefined;
  if ((before.sandbox ?? '') !== '') return undefined;
  return { name: before.name, mac };
}
