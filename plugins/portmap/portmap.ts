/** portmap: forwards ports of the host to the container that the plugins before it in the chain attached. */
import { CniError, code, combineErrors, messageOf } from '../../lib/cni/errors.ts';
import type { Call, Host, Plugin } from '../../lib/cni/plugin.ts';
import { prevResult, prevResultIfReadable, requirePrevResult } from '../../lib/cni/prev-result.ts';
import type { Result } from '../../lib/cni/result.ts';
import { type Transaction, transaction } from '../../lib/cni/transaction.ts';
import { deleteUdpFlows, type UdpFlows } from '../../lib/conntrack.ts';
import { findTool } from '../../lib/exec.ts';
import { interfaceTowards } from '../../lib/linux/route-table.ts';
import { writeSysctl } from '../../lib/linux/sysctl.ts';
import {
  attachmentOf,
  FAMILIES,
  type Forwarding,
  familiesOf,
  makeForwarding,
  mappingsOf,
  specificHostIp,
  targetOf,
  targetsOf,
} from './forwarding.ts';
import { addRules, missingRules, removeFoundRules, removeRules, TOOLS, UnreadableTableError } from './iptables.ts';
import { readRecord, removeRecord, STATE_FOLDER, writeRecord } from './owner-record.ts';
import { asksForPorts, parsePortmapConfig } from './schema.ts';

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
  await transaction(call.host, (tx) => forward(tx, forwarding, call.host));
  forgetUdpFlows(udpFlows(forwarding), call.host);
  return result;
}

/** Record first: whatever happens after it, DEL knows what to look for. */
async function forward(tx: Transaction, forwarding: Forwarding, host: Host): Promise<void> {
  const read = readRecord(forwarding);
  const former = read === 'damaged' ? undefined : read;
  const adding = { former, checkpoint: () => host.checkpoint() };
  await tx.step(() => writeRecord(forwarding));
  tx.onFailure('restore the port forwarding record', () =>
    former === undefined ? removeRecord(forwarding) : writeRecord(former),
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
  else await removeRecorded(call, record);
  removeRecord(attachment);
}

async function removeRecorded({ host }: Call, record: Forwarding): Promise<void> {
  const errors: unknown[] = [];
  for (const family of familiesOf(record)) {
    await host.checkpoint();
    try {
      removeRules(record, family);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw combineErrors(errors);
  forgetUdpFlows(
    udpFlows(record).map((flows) => ({ ...flows, answeredBy: answererOf(record, flows) })),
    host,
  );
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

async function gc(): Promise<void> {
  // Nothing is collected yet, as in the reference.
}

async function status(call: Call): Promise<void> {
  parsePortmapConfig(call.config.raw);
  const missing = TOOLS.filter((tool) => findTool(tool) === undefined);
  if (missing.length === 0) return;
  throw new CniError(code.pluginNotAvailable, `cannot forward ports: ${missing.join(', ')} not found`, {
    details: 'install the package iptables',
  });
}

/** The flows of each forwarded UDP port: the kernel goes on sending them wherever they went before the rules changed. */
function udpFlows(forwarding: Forwarding): UdpFlows[] {
  return familiesOf(forwarding).flatMap((family) =>
    mappingsOf(forwarding, family)
      .filter(({ protocol }) => protocol === 'udp')
      .map((mapping) => ({ family, hostPort: mapping.hostPort, hostIp: specificHostIp(mapping) })),
  );
}

function answererOf(forwarding: Forwarding, { family }: UdpFlows): string | undefined {
  return targetOf(forwarding, family)?.ip.text;
}

/** The rules are right whether or not this succeeds; flows that are left end by themselves when they fall silent. */
function forgetUdpFlows(flows: readonly UdpFlows[], host: Host): void {
  try {
    deleteUdpFlows(flows, STATE_FOLDER);
  } catch (error) {
    const hint = error instanceof CniError && error.details !== '' ? ` (${error.details})` : '';
    host.warn(`portmap: stale UDP flows may reach nobody for a while: ${messageOf(error)}${hint}`);
  }
}
