/**
 * The host ports of one attachment, verb by verb: for portmap, and for an interface plugin that takes them itself. `raw` are
 * portmap's keys and `runtimeConfig`.
 */
import { claimsOf, contested } from '../attachment/port-claims.ts';
import type { PortRecord } from '../attachment/port-record.ts';
import { readRecord, removeRecord } from '../attachment/port-record-store.ts';
import { CniError, code, combineErrors } from '../cni/errors.ts';
import type { JsonObject } from '../cni/json.ts';
import type { Call } from '../cni/plugin.ts';
import { prevResultIfReadable } from '../cni/prev-result.ts';
import type { Result } from '../cni/result.ts';
import type { BackendName } from '../firewall/backend.ts';
import { backendsInUse, chooseBackend } from '../firewall/choice.ts';
import { isOpen, removeNeedlessGuards } from '../firewall/localnet.ts';
import { missingInAll } from '../firewall/missing.ts';
import type { Rider } from '../firewall/rider.ts';
import { UnreadableError } from './backend.ts';
import { backends } from './backends.ts';
import { attachmentOf, FAMILIES, type Forwarding, familiesOf, makeForwarding, targetsOf } from './forwarding.ts';
import { removeRecorded } from './release.ts';
import { asksForPorts, namedBackend, type PortmapConfig, parsePortmapConfig } from './schema.ts';
import { warnWithoutWay } from './way.ts';

/** What an ADD is to forward; `undefined` for nothing. Chooses the firewall. Throws code 102 without one. */
export function forwardingFor(call: Call, config: PortmapConfig, result: Result): Forwarding | undefined {
  if (config.mappings.length === 0) return undefined;
  if (familiesOf({ targets: targetsOf(result, call.ifname) }).length === 0) {
    call.host.warn(`portmap: no port is forwarded: prevResult gives ${call.ifname} of the container no address`);
    return undefined;
  }
  const { backend } = chooseBackend(config.configured);
  const forwarding = makeForwarding(attachmentOf(call), { config, result, backend });
  warnWithoutWay(forwarding, call.host);
  return forwarding;
}

/** Throws code 7 for a bad configuration, 103 when something is missing. */
export function checkPorts(call: Call, raw: JsonObject, result: Result): void {
  const config = parsePortmapConfig(raw);
  const attachment = attachmentOf(call);
  const read = readRecord(attachment);
  const record = read === 'damaged' ? undefined : read;
  if (record !== undefined) requireLocalnet(record);
  if (config.mappings.length === 0) {
    if (record !== undefined) requireRules([record.backend], record, () => record);
    return;
  }
  // Without a record nobody knows which firewall the reference took.
  const names = record === undefined ? backendsInUse(config.configured?.backend) : [record.backend];
  requireRules(names, record, (backend) =>
    withoutCeded(makeForwarding(attachment, { config, result, backend }), record),
  );
}

/** Throws code 103 when something is missing in each of `names`. */
function requireRules(
  names: readonly BackendName[],
  record: PortRecord | undefined,
  forwardingIn: (backend: BackendName) => Forwarding,
): void {
  const guarded = record?.localnet !== undefined;
  const [first, ...others] = missingInAll(names, (name) => backends[name].missing(forwardingIn(name), { guarded }));
  if (first === undefined) return;
  throw lacking(first, [...others, 'the container has to be attached again'].join('; '));
}

/** Where the ports are to be reached from 127.0.0.1: of the reference's attachments nobody knows. */
function requireLocalnet({ localnet }: PortRecord): void {
  if (localnet === undefined || isOpen(localnet.link)) return;
  throw lacking(`route_localnet of ${localnet.link}`, 'set it to 1');
}

function lacking(what: string, fix: string): CniError {
  return new CniError(code.checkFailed, `cannot find ${what}`, { details: `another program took it away; ${fix}` });
}

/** Ports that another network of the container has are no concern of this one. */
function withoutCeded(forwarding: Forwarding, record: PortRecord | undefined): Forwarding {
  const ceded = record === undefined ? [] : claimsOf(record.ceded);
  const elsewhere = new Set(contested(forwarding.mappings, ceded));
  return { ...forwarding, mappings: forwarding.mappings.filter((mapping) => !elsewhere.has(mapping)) };
}

interface Departing {
  readonly record: ReturnType<typeof readRecord>;
  /** What else goes in the record's firewall. */
  readonly rider?: Rider | undefined;
}

/**
 * The record names the rules; without one, what the reference may have made is looked for. What can be is on its way when
 * this returns.
 */
export async function deletePorts(call: Call, raw: JsonObject, departing?: Departing): Promise<void> {
  const attachment = attachmentOf(call);
  const { record, rider } = departing ?? { record: readRecord(attachment) };
  if (record === undefined && !asksForPorts(raw)) return;
  if (record !== undefined && record !== 'damaged') {
    await removeRecorded(record, call.host, rider);
    if (!isOutdated(record, call)) return;
  }
  const names = backendsInUse(namedBackend(raw));
  removeFound(call, names);
  removeRecord(attachment);
  await removeNeedlessGuards(names, call.host);
}

/** The reference deleted what it is of, which leaves it, and attached the container again. */
function isOutdated({ targets }: PortRecord, call: Call): boolean {
  const result = prevResultIfReadable(call.config);
  const told = result === undefined ? {} : targetsOf(result, call.ifname);
  return FAMILIES.some((family) => told[family] !== undefined && told[family] !== targets[family]);
}

/** A host without one of the firewalls has no rules of it: only when none can be looked at, something may be left. */
function removeFound(call: Call, names: readonly BackendName[]): void {
  const result = prevResultIfReadable(call.config);
  const targets = result === undefined ? {} : targetsOf(result, call.ifname);
  const unread: unknown[] = [];
  const errors: unknown[] = [];
  for (const name of names) {
    try {
      backends[name].removeFound(attachmentOf(call), targets);
    } catch (error) {
      (error instanceof UnreadableError ? unread : errors).push(error);
    }
  }
  if (names.length > 0 && unread.length === names.length) errors.push(...unread);
  if (errors.length > 0) throw combineErrors(errors);
}
