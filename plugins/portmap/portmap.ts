/** portmap: forwards ports of the host to the container that the plugins before it in the chain attached. */
import { claimsOf, contested } from '../../lib/attachment/port-claims.ts';
import type { PortRecord } from '../../lib/attachment/port-record.ts';
import { readRecord, removeRecord } from '../../lib/attachment/port-record-store.ts';
import { CniError, code, combineErrors } from '../../lib/cni/errors.ts';
import type { Call, Plugin } from '../../lib/cni/plugin.ts';
import { prevResult, prevResultIfReadable, requirePrevResult } from '../../lib/cni/prev-result.ts';
import type { Result } from '../../lib/cni/result.ts';
import type { BackendName } from '../../lib/firewall/backend.ts';
import { backendsInUse, chooseBackend } from '../../lib/firewall/choice.ts';
import { guards, isOpen, removeNeedlessGuards } from '../../lib/firewall/localnet.ts';
import { missingInAll } from '../../lib/firewall/missing.ts';
import { forwardPorts } from '../../lib/hostports/add.ts';
import { UnreadableError } from '../../lib/hostports/backend.ts';
import { backends } from '../../lib/hostports/backends.ts';
import {
  attachmentOf,
  FAMILIES,
  type Forwarding,
  familiesOf,
  makeForwarding,
  targetsOf,
} from '../../lib/hostports/forwarding.ts';
import { collect } from '../../lib/hostports/gc.ts';
import { tracesOf } from '../../lib/hostports/holders.ts';
import { removeRecorded } from '../../lib/hostports/release.ts';
import { asksForPorts, namedBackend, parsePortmapConfig } from '../../lib/hostports/schema.ts';
import { requireFirewall, requireStateFolder } from '../../lib/hostports/status.ts';
import { warnWithoutWay } from '../../lib/hostports/way.ts';

export const portmap: Plugin = { name: 'portmap', add, check, del, gc, status };

async function add(call: Call): Promise<Result> {
  const result = prevResult(call.config);
  const config = parsePortmapConfig(call.config.raw);
  if (result === undefined) {
    throw new CniError(code.invalidConfig, 'must be called as chained plugin', {
      details: 'portmap forwards to the addresses of "prevResult": put it behind an interface plugin in the conflist',
    });
  }
  if (config.mappings.length === 0) return result;
  if (familiesOf({ targets: targetsOf(result, call.ifname) }).length === 0) {
    call.host.warn(`portmap: no port is forwarded: prevResult gives ${call.ifname} of the container no address`);
    return result;
  }
  const { backend } = chooseBackend(config.configured);
  const forwarding = makeForwarding(attachmentOf(call), { config, result, backend });
  warnWithoutWay(forwarding, call.host);
  const adding = { host: call.host, policy: config.hostPortConflict, traces: tracesOf(call, result) };
  await forwardPorts(forwarding, adding);
  return result;
}

async function check(call: Call): Promise<void> {
  const config = parsePortmapConfig(call.config.raw);
  const result = requirePrevResult(call.config);
  const attachment = attachmentOf(call);
  const read = readRecord(attachment);
  const record = read === 'damaged' ? undefined : read;
  if (record !== undefined) requireLocalnet(record);
  if (config.mappings.length === 0) {
    if (record !== undefined) requireRules([record.backend], () => record);
    return;
  }
  // Without a record nobody knows which firewall the reference took.
  const names = record === undefined ? backendsInUse(config.configured?.backend) : [record.backend];
  requireRules(names, (backend) => withoutCeded(makeForwarding(attachment, { config, result, backend }), record));
}

/** Throws code 103 when something is missing in each of `names`. */
function requireRules(names: readonly BackendName[], forwardingIn: (backend: BackendName) => Forwarding): void {
  const [first, ...others] = missingInAll(names, (name) => backends[name].missing(forwardingIn(name)));
  if (first === undefined) return;
  throw new CniError(code.checkFailed, `cannot find ${first}`, {
    details: [...others, 'another program removed it; the container has to be attached again'].join('; '),
  });
}

/** Where the ports are to be reached from 127.0.0.1: of the reference's attachments nobody knows. */
function requireLocalnet({ localnet, backend }: PortRecord): void {
  if (localnet === undefined) return;
  if (!isOpen(localnet.link)) throw lacking(`route_localnet of ${localnet.link}`, 'set it to 1');
  if (!guards[backend].isGuardThere()) throw lacking('the guard of 127.0.0.0/8', 'attach the container again');
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

/** The record names the rules; without one, what the reference may have made is looked for. */
async function del(call: Call): Promise<void> {
  const attachment = attachmentOf(call);
  const record = readRecord(attachment);
  if (record === undefined && !asksForPorts(call.config.raw)) return;
  if (record !== undefined && record !== 'damaged') {
    await removeRecorded(record, call.host);
    if (!isOutdated(record, call)) return;
  }
  const names = backendsInUse(namedBackend(call.config.raw));
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

/** Without a word on the rest of the configuration: it may have become invalid since. */
async function gc(call: Call): Promise<void> {
  await collect(call);
}

async function status(call: Call): Promise<void> {
  requireFirewall(parsePortmapConfig(call.config.raw).configured);
  requireStateFolder();
}
