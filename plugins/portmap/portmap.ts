/** portmap: forwards ports of the host to the container that the plugins before it in the chain attached. */
import { readRecord, removeRecord, writeRecord } from '../../lib/attachment/port-record-store.ts';
import { CniError, code, combineErrors } from '../../lib/cni/errors.ts';
import type { Call, Host, Plugin } from '../../lib/cni/plugin.ts';
import { prevResult, prevResultIfReadable, requirePrevResult } from '../../lib/cni/prev-result.ts';
import type { Result } from '../../lib/cni/result.ts';
import { type Transaction, transaction } from '../../lib/cni/transaction.ts';
import type { BackendName } from '../../lib/firewall/backend.ts';
import { backendsInUse, chooseBackend } from '../../lib/firewall/choice.ts';
import { missingInAll } from '../../lib/firewall/missing.ts';
import { interfaceTowards } from '../../lib/linux/route-table.ts';
import { writeSysctl } from '../../lib/linux/sysctl.ts';
import { type Adding, UnreadableError, WITHOUT_UNDO } from './backend.ts';
import { backends } from './backends.ts';
import { attachmentOf, type Forwarding, familiesOf, makeForwarding, targetOf, targetsOf } from './forwarding.ts';
import { collect } from './gc.ts';
import { forgetUdpFlows, removeRecorded, udpFlows } from './release.ts';
import { asksForPorts, namedBackend, parsePortmapConfig } from './schema.ts';
import { requireFirewall, requireStateFolder } from './status.ts';

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
  const { backend } = chooseBackend(config.configured);
  const forwarding = makeForwarding(attachmentOf(call), { config, result, backend });
  if (familiesOf(forwarding).length === 0) {
    call.host.warn(`portmap: no port is forwarded: prevResult gives ${call.ifname} of the container no address`);
    return result;
  }
  await forwardRecorded(forwarding, call.host);
  return result;
}

/** Record first: whatever happens after it, DEL knows what to look for. GC keeps off until the record is let go. */
async function forwardRecorded(forwarding: Forwarding, host: Host): Promise<void> {
  const read = readRecord(forwarding);
  const letGo = writeRecord(forwarding);
  try {
    await transaction(host, (tx) => forward(tx, forwarding, { host, former: read === 'damaged' ? undefined : read }));
    forgetUdpFlows(udpFlows(forwarding), host);
  } finally {
    letGo();
  }
}

interface Before {
  readonly host: Host;
  /** What an earlier ADD of the attachment had recorded. */
  readonly former: Forwarding | undefined;
}

async function forward(tx: Transaction, forwarding: Forwarding, { host, former }: Before): Promise<void> {
  const isMoved = former !== undefined && former.backend !== forwarding.backend;
  const adding: Adding = { former: isMoved ? undefined : former, checkpoint: () => host.checkpoint() };
  tx.onFailure('restore the port forwarding record', () =>
    former === undefined ? removeRecord(forwarding) : writeRecord(former)(),
  );
  await backends[forwarding.backend].add(tx, forwarding, adding);
  if (isMoved) await removeFormer(tx, former);
  await tx.step(() => letLocalhostThrough(forwarding));
}

/** The rules of an earlier ADD that no DEL followed, where they are in the other firewall. */
async function removeFormer(tx: Transaction, former: Forwarding): Promise<void> {
  const backend = backends[former.backend];
  tx.onFailure('restore the former rules', () => backend.add(WITHOUT_UNDO, former, { checkpoint: async () => {} }));
  await tx.step(() => backend.remove([former]));
}

/** Packets from 127.0.0.1 may leave by the container's interface only if that allows it; masquerading comes later. */
function letLocalhostThrough(forwarding: Forwarding): void {
  const target = targetOf(forwarding, 4);
  if (!forwarding.snat || target === undefined) return;
  const name = interfaceTowards(target.ip);
  if (name !== undefined) writeSysctl(`net/ipv4/conf/${name}/route_localnet`, '1');
}

async function check(call: Call): Promise<void> {
  const config = parsePortmapConfig(call.config.raw);
  const result = requirePrevResult(call.config);
  const attachment = attachmentOf(call);
  const read = readRecord(attachment);
  const record = read === 'damaged' ? undefined : read;
  if (config.mappings.length === 0) {
    if (record !== undefined) requireRules([record.backend], () => record);
    return;
  }
  // Without a record nobody knows which firewall the reference took.
  const names = record === undefined ? backendsInUse(config.configured?.backend) : [record.backend];
  requireRules(names, (backend) => makeForwarding(attachment, { config, result, backend }));
}

/** Throws code 103 when something is missing in each of `names`. */
function requireRules(names: readonly BackendName[], forwardingIn: (backend: BackendName) => Forwarding): void {
  const [first, ...others] = missingInAll(names, (name) => backends[name].missing(forwardingIn(name)));
  if (first === undefined) return;
  throw new CniError(code.checkFailed, `cannot find ${first}`, {
    details: [...others, 'another program removed it; the container has to be attached again'].join('; '),
  });
}

/** The record names the rules; without one, what the reference may have made is looked for. */
async function del(call: Call): Promise<void> {
  const attachment = attachmentOf(call);
  const record = readRecord(attachment);
  if (record === undefined && !asksForPorts(call.config.raw)) return;
  if (record === undefined || record === 'damaged') removeFound(call);
  else await removeRecorded(record, call.host);
  removeRecord(attachment);
}

/** A host without one of the firewalls has no rules of it: only when none can be looked at, something may be left. */
function removeFound(call: Call): void {
  const result = prevResultIfReadable(call.config);
  const targets = result === undefined ? {} : targetsOf(result, call.ifname);
  const names = backendsInUse(namedBackend(call.config.raw));
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
