/**
 * bridge: joins a container to a Linux bridge through a veth pair. What is built is decided in ./plan.ts,
 * ./addressing.ts and ./masquerade.ts; here is the order in which it is done and undone.
 */
import { collectInvalid, DEFAULT_MIN_AGE_MS } from '../../lib/attachment/collect.ts';
import { forgetDeleted, rememberDeleted, wasDeleted } from '../../lib/attachment/deleted.ts';
import { describeLeases } from '../../lib/attachment/describe.ts';
import { deleteLink } from '../../lib/attachment/host-link.ts';
import { knownRecord, openRecord, recordOf, settleCrashed, storeOf } from '../../lib/attachment/of-call.ts';
import { type RecordHandle, removeRecordOf, waitWhileAdding } from '../../lib/attachment/record-handle.ts';
import type { Store } from '../../lib/attachment/store.ts';
import { loadSubjects } from '../../lib/attachment/subject.ts';
import { CniError, code, combineErrors } from '../../lib/cni/errors.ts';
import type { Call, Plugin } from '../../lib/cni/plugin.ts';
import { prevResultIfReadable } from '../../lib/cni/prev-result.ts';
import type { Result } from '../../lib/cni/result.ts';
import { transaction } from '../../lib/cni/transaction.ts';
import { type ValidAttachment, validAttachments } from '../../lib/cni/valid-attachments.ts';
import { findTool } from '../../lib/exec.ts';
import { removeRulesOf } from '../../lib/firewall/owned.ts';
import { runBatch } from '../../lib/iproute2/batch.ts';
import { showLink } from '../../lib/iproute2/show.ts';
import { linkNames } from '../../lib/linux/links.ts';
import { type Netns, openNetns, ownCookie } from '../../lib/linux/netns.ts';
import { randomHex } from '../../lib/linux/random.ts';
import { writeSysctl } from '../../lib/linux/sysctl.ts';
import { type Cidr, type Family, formatCidr } from '../../lib/net/ip.ts';
import { randomMac } from '../../lib/net/mac.ts';
import { planAddressing } from './addressing.ts';
import { ensureBridge } from './bridge-link.ts';
import { checkAttachment } from './check.ts';
import { detach, type Known } from './detach.ts';
import { addIpam, askIpam } from './ipam.ts';
import { type Addresses, addMasquerade, masqueradedContainers, type Owner, removeMasquerade } from './masquerade.ts';
import {
  type Attachment,
  planContainerBatch,
  planContainerSysctls,
  planHostBatch,
  planHostSysctls,
  planResult,
  type Sysctl,
} from './plan.ts';
import { requireReady } from './readiness.ts';
import { parseConfig } from './schema.ts';

const FAMILIES: readonly Family[] = [4, 6];

export const bridge: Plugin = {
  name: 'bridge',
  add,
  del,
  async check(call) {
    const config = parseConfig(call);
    await askIpam(call, config, 'CHECK');
    checkAttachment(call, config, ownerOf(call));
  },
  gc: collectGarbage,
  async status(call) {
    const config = parseConfig(call);
    requireReady(call, config);
    await askIpam(call, config, 'STATUS');
  },
};

async function add(call: Call): Promise<Result> {
  const config = parseConfig(call);
  using netns = openNetns(call.netns);
  const store = storeOf(call);
  await waitWhileAdding(store, call, call.host);
  const former = await settleCrashed(store, call);
  const containerNetns = netns.run(ownCookie);
  if (netns.run(linkNames).has(call.ifname)) throw takenIfname(call, store);
  const record = recordOf(call, store, { containerNetns, former });
  // Awaited here, since the namespace is closed when this function ends.
  return await transaction(call.host, async (tx) => {
    tx.onFailure('remove the record of the attachment', () => record.abandon());
    const addressing = planAddressing(config, await addIpam({ ...call, record }, config, tx));
    const pair = { hostName: freeHostName(), hostMac: randomMac(), containerMac: config.mac ?? randomMac() };
    const attachment: Attachment = { config, ifname: call.ifname, netns: call.netns, pair, addressing };
    await tx.step(() => noteAttachment(call, record, attachment));
    const gateways = config.isGateway ? gatewayCidrs(attachment) : [];
    const bridgeMac = await tx.step(() => ensureBridge(config, gateways));
    tx.onFailure('delete the veth pair', () => deleteLink(pair.hostName));
    await tx.step(() => buildHostSide(attachment, netns));
    await tx.step(() => netns.run(() => buildContainerSide(attachment)));
    await tx.step(() => enableForwarding(gateways));
    if (config.ipMasq) {
      const cidrs = addressing.addresses.map(({ cidr }) => cidr);
      tx.onFailure('remove the masquerade rules', () => unmasquerade(ownerOf(call), { only: cidrs }));
      await tx.step(() => addMasquerade(ownerOf(call), cidrs));
    }
    await tx.step(() => waitForPort(pair.hostName));
    await tx.step(() => record.finish());
    return planResult(attachment, bridgeMac);
  });
}

/** Refused before anything is asked of the IPAM plugin: the lease of the attachment that is there is not ours to touch. */
function takenIfname(call: Call, store: Store): CniError {
  const addresses = knownRecord(store, call)?.leases.map(({ address }) => address) ?? [];
  const names = addresses.filter((address) => address !== '');
  const known = describeLeases(store, names, DEFAULT_MIN_AGE_MS);
  const hint =
    'the container already has an interface of this name: DEL that attachment first or choose another CNI_IFNAME';
  return new CniError(code.conflict, `container veth name ("${call.ifname}") already exists in ${call.netns}`, {
    details: known === '' ? hint : `${hint}; ${known}`,
  });
}

/** What a sweep has to know if this call is killed from here on. */
function noteAttachment(call: Call, record: RecordHandle, { config, pair, addressing }: Attachment): void {
  const cidrs = addressing.addresses.map(({ cidr }) => cidr);
  const isNeeded = config.ipamType === 'host-local';
  openRecord(call, record, { addresses: cidrs.map(({ ip }) => ip.text), isNeeded });
  record.note({
    addresses: cidrs.map(formatCidr),
    hostLink: { name: pair.hostName, mac: pair.hostMac },
    containerMac: pair.containerMac,
  });
  forgetDeleted(storeOf(call), call);
}

/** A random name that no link has: what a failed ADD takes back by this name must be its own. */
function freeHostName(): string {
  const taken = linkNames();
  for (;;) {
    const name = `veth${randomHex(4)}`;
    if (!taken.has(name)) return name;
  }
}

function gatewayCidrs({ addressing }: Attachment): Cidr[] {
  return addressing.addresses.flatMap(({ cidr, gateway }) =>
    gateway === undefined ? [] : [{ ip: gateway, prefix: cidr.prefix }],
  );
}

function buildHostSide(attachment: Attachment, netns: Netns): void {
  runBatch(planHostBatch(attachment, netns.fdPath));
  applySysctls(planHostSysctls(attachment));
}

/** Runs inside the container's namespace. */
function buildContainerSide(attachment: Attachment): void {
  applySysctls(planContainerSysctls(attachment));
  runBatch(planContainerBatch(attachment));
}

function applySysctls(sysctls: readonly Sysctl[]): void {
  for (const { name, value, required } of sysctls) {
    try {
      writeSysctl(name, value);
    } catch (error) {
      if (required) throw error;
      // Without IPv6, or on a read-only /proc/sys, the attachment works as far as the kernel lets it.
    }
  }
}

function enableForwarding(gateways: readonly Cidr[]): void {
  const names: { readonly [F in Family]: string } = { 4: 'net/ipv4/ip_forward', 6: 'net/ipv6/conf/all/forwarding' };
  for (const family of new Set(gateways.map(({ ip }) => ip.family))) writeSysctl(names[family], '1');
}

/** Longest wait for the bridge port to forward, and the pause between looks. The kernel needs a millisecond or so. */
const PORT_WAIT_MS = 5000;
const PORT_PAUSE_MS = 5;

async function waitForPort(hostName: string): Promise<void> {
  const deadline = process.hrtime.bigint() + BigInt(PORT_WAIT_MS) * 1_000_000n;
  for (;;) {
    const state = showLink(hostName)?.operstate ?? 'missing';
    if (state === 'UP') return;
    if (process.hrtime.bigint() > deadline) {
      throw new CniError(code.toolFailed, `bridge port in error state: ${state}`, {
        details: `${hostName} did not come up within ${PORT_WAIT_MS / 1000} s; is the bridge up and the container's link not set down?`,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, PORT_PAUSE_MS));
  }
}

/**
 * Link, then rules, then lease: an address must not be given again while its old holder can answer for it or a rule
 * still speaks of it. Every step is tried; the lease stays when the link does, the record when anything does.
 */
async function del(call: Call): Promise<void> {
  const config = parseConfig(call);
  const store = storeOf(call);
  await waitWhileAdding(store, call, call.host);
  const known: Known = { record: knownRecord(store, call), previous: prevResultIfReadable(call.config) };
  const isRepeated = known.record === undefined && wasDeleted(store, call);
  const errors: unknown[] = [];
  const attempt = async (action: () => void | Promise<void>) => {
    try {
      await action();
    } catch (error) {
      errors.push(error);
    }
  };
  let addresses: Addresses = { allBut: [] };
  await attempt(() => {
    addresses = detach(call, store, known);
  });
  const linkIsGone = errors.length === 0;
  if (config.ipMasq && config.ipamType !== '' && !isRepeated)
    await attempt(() => unmasquerade(ownerOf(call), addresses));
  // The record stays ours to remove: without it a second try would not know what is left.
  const record = recordOf(call, store, { containerNetns: '', former: [] });
  if (linkIsGone) await attempt(() => askIpam({ ...call, record }, config, 'DEL'));
  if (errors.length > 0) throw combineErrors(errors);
  removeRecordOf(store, call);
  rememberDeleted(store, call);
}

/** What the runtime does not list, then the same of the IPAM plugin. Goes on past failures. */
async function collectGarbage(call: Call): Promise<void> {
  const valid = validAttachments(call.config);
  const config = parseConfig(call);
  const store = storeOf(call);
  const errors: unknown[] = [];
  const attempt = async (action: () => Promise<readonly unknown[]>) => {
    try {
      errors.push(...(await action()));
    } catch (error) {
      errors.push(error);
    }
  };
  await attempt(() => collectInvalid(store, { valid, host: call.host, plugin: 'bridge' }));
  if (config.ipMasq && config.ipamType !== '') await attempt(async () => removeUnlisted(store, valid));
  await attempt(async () => {
    await askIpam(call, config, 'GC');
    return [];
  });
  if (errors.length > 0) throw combineErrors(errors);
}

/** Masquerade of attachments that left neither record nor lease, such as the reference's. */
function removeUnlisted(store: Store, valid: readonly ValidAttachment[]): readonly unknown[] {
  const { network, warn } = store;
  const found = new Set(FAMILIES.flatMap((family) => masqueradedContainers(network, family)));
  // Looked at after the rules: an ADD that is at work wrote its record before its rules.
  const present = new Set(
    [...loadSubjects(store), ...valid.map(({ containerID }) => ({ containerId: containerID }))].map(
      ({ containerId }) => containerId,
    ),
  );
  const owners = [...found].filter((id) => !present.has(id)).map((containerId) => ({ network, containerId }));
  if (owners.length > 0) removeRulesOf({ addresses: [], network, owners, warn });
  return [];
}

function unmasquerade(owner: Owner, addresses: Addresses): void {
  for (const family of FAMILIES) {
    const isGuess = 'allBut' in addresses;
    if (isGuess && family === 6 && findTool('ip6tables-save') === undefined) continue;
    removeMasquerade(owner, family, addresses);
  }
}

function ownerOf(call: Call): Owner {
  return { network: call.config.name, containerId: call.containerId };
}
