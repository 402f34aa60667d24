/** portmap: forwards ports of the host to the container that the plugins before it in the chain attached. */
import { readRecord, removeRecord, writeRecord } from '../../lib/attachment/port-record-store.ts';
import { CniError, code, combineErrors } from '../../lib/cni/errors.ts';
import type { Call, Host, Plugin } from '../../lib/cni/plugin.ts';
import { prevResult, prevResultIfReadable, requirePrevResult } from '../../lib/cni/prev-result.ts';
import type { Result } from '../../lib/cni/result.ts';
import { type Transaction, transaction } from '../../lib/cni/transaction.ts';
import { interfaceTowards } from '../../lib/linux/route-table.ts';
import { writeSysctl } from '../../lib/linux/sysctl.ts';
import {
  attachmentOf,
  FAMILIES,
  type Forwarding,
  familiesOf,
  makeForwarding,
  targetOf,
  targetsOf,
} from './forwarding.ts';
import { collect } from './gc.ts';
import { addRules, missingRules, removeFoundRules, removeRules, UnreadableTableError } from './iptables.ts';
import { forgetUdpFlows, removeRecorded, udpFlows } from './release.ts';
import { asksForPorts, parsePortmapConfig } from './schema.ts';
import { requireStateFolder, requireTools } from './status.ts';

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
  const forwarding = makeForwarding(attachmentOf(call), config, result);
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
  const adding = { former, checkpoint: () => host.checkpoint() };
  tx.onFailure('restore the port forwarding record', () =>
    former === undefined ? removeRecord(forwarding) : writeRecord(former)(),
  );
  for (const family of familiesOf(forwarding)) {
    const takeBack = await tx.step(() => addRules(forwarding, family, adding));
    tx.onFailure(`remove the IPv${family} rules`, takeBack);
  }
  if (former !== undefined) await removeAbandoned(tx, forwarding, former);
  await tx.step(() => letLocalhostThrough(forwarding));
}

/** An earlier ADD that no DEL followed may have had an address of a family that this one has not. */
async function removeAbandoned(tx: Transaction, forwarding: Forwarding, former: Forwarding): Promise<void> {
  for (const family of familiesOf(former)) {
    if (targetOf(forwarding, family) !== undefined) continue;
    await tx.step(() => removeRules(former, family));
    tx.onFailure(`restore the IPv${family} rules`, async () => {
      await addRules(former, family, { checkpoint: async () => {} });
    });
  }
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
  const forwarding = config.mappings.length > 0 ? makeForwarding(attachment, config, result) : readRecord(attachment);
  if (forwarding === undefined || forwarding === 'damaged') return;
  for (const family of familiesOf(forwarding)) {
    const [first, ...others] = missingRules(forwarding, family);
    if (first === undefined) continue;
    throw new CniError(code.checkFailed, `cannot find ${first} of the IPv${family} nat table`, {
      details: [...others, 'another program removed it; the container has to be attached again'].join('; '),
    });
  }
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

/** A host without one of the families has no rules of it: only when no family can be looked at, something may be left. */
function removeFound(call: Call): void {
  const result = prevResultIfReadable(call.config);
  const targets = result === undefined ? {} : targetsOf(result, call.ifname);
  const unseen: unknown[] = [];
  const errors: unknown[] = [];
  for (const family of FAMILIES) {
    try {
      removeFoundRules(attachmentOf(call), family, targets);
    } catch (error) {
      const isUnused = error instanceof UnreadableTableError && targets[family] === undefined;
      (isUnused ? unseen : errors).push(error);
    }
  }
  if (unseen.length === FAMILIES.length) errors.push(...unseen);
  if (errors.length > 0) throw combineErrors(errors);
}

/** Without a word on the rest of the configuration: it may have become invalid since. */
async function gc(call: Call): Promise<void> {
  await collect(call);
}

async function status(call: Call): Promise<void> {
  parsePortmapConfig(call.config.raw);
  requireTools();
  requireStateFolder();
}
