/**
 * bridge: joins a container to a Linux bridge through a veth pair. What is built is decided in ./plan.ts,
 * ./addressing.ts and ./masquerade.ts; here is the order in which it is done and undone.
 */
import { collectInvalid, DEFAULT_MIN_AGE_MS } from '../../lib/attachment/collect.ts';
import { forgetDeleted, rememberDeleted, wasDeleted } from '../../lib/attachment/deleted.ts';
import { describeLeases } from '../../lib/attachment/describe.ts';
import { findLeases } from '../../lib/attachment/find.ts';
import { knownRecord, openRecord, recordOf, settleCrashed, storeOf } from '../../lib/attachment/of-call.ts';
import type { AttachmentRecord } from '../../lib/attachment/record.ts';
import { type RecordHandle, removeRecordOf, waitWhileAdding } from '../../lib/attachment/record-handle.ts';
import { type Store, storeExists } from '../../lib/attachment/store.ts';
import { loadSubjects } from '../../lib/attachment/subject.ts';
import { CniError, code, combineErrors } from '../../lib/cni/errors.ts';
import type { Call, Plugin } from '../../lib/cni/plugin.ts';
import { prevResultIfReadable } from '../../lib/cni/prev-result.ts';
import type { Result } from '../../lib/cni/result.ts';
import { transaction } from '../../lib/cni/transaction.ts';
import { type ValidAttachment, validAttachments } from '../../lib/cni/valid-attachments.ts';
import { findTool } from '../../lib/exec.ts';
import { BACKENDS, type BackendName } from '../../lib/firewall/backend.ts';
import { backendsInUse, chooseBackend, installedBackends } from '../../lib/firewall/choice.ts';
import { runBatch } from '../../lib/iproute2/batch.ts';
import { showLink } from '../../lib/iproute2/show.ts';
import { announceMac } from '../../lib/linux/libc.ts';
import { linkNames } from '../../lib/linux/links.ts';
import { type Netns, openNetns, ownCookie } from '../../lib/linux/netns.ts';
import { readSysctl, writeSysctl } from '../../lib/linux/sysctl.ts';
import { type Cidr, formatCidr } from '../../lib/net/ip.ts';
import { randomMac } from '../../lib/net/mac.ts';
import { removeOrphanedSpoofChecks, removeSpoofChecks } from '../../lib/nft/mac-spoof.ts';
import { planAddressing } from './addressing.ts';
import { freeVethName, vlanGatewayName } from './bridge-link.ts';
import { checkAttachment } from './check.ts';
import { containerAddresses } from './container-link.ts';
import { detach, type Known } from './detach.ts';
import { warnAtFirstUse } from './first-use.ts';
import { addIpam, askIpam } from './ipam.ts';
import { requireIpv6, requireIpv6Mtu } from './ipv6.ts';
import { joinBridge } from './join.ts';
import { type Addresses, masquerades, type Owner } from './masquerade.ts';
import { type Attachment, planContainerBatch, planContainerSysctls, planResult } from './plan.ts';
import { FORWARDING, familiesOf } from './preflight.ts';
import { requireReady } from './readiness.ts';
import { type BridgeConfig, parseConfig } from './schema.ts';
import { settleAddresses } from './settle.ts';
import { applySysctls } from './sysctls.ts';

export const bridge: Plugin = {
  name: 'bridge',
  add,
  del,
  async check(call) {
    const config = parseConfig(call);
    await askIpam(call, config, 'CHECK');
    const record = currentRecord(call, storeOf(call), prevResultIfReadable(call.config));
    checkAttachment(call, config, { owner: ownerOf(call), firewalls: firewallsOf(record, config) });
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
  const firewall = config.ipMasq.length === 0 ? '' : chooseBackend(config.ipMasqBackend).backend;
  await waitWhileAdding(store, call, call.host);
  const former = await settleCrashed(store, call);
  const containerNetns = netns.run(ownCookie);
  if (netns.run(linkNames).has(call.ifname)) throw takenIfname(call, store);
  const isKnown = knownRecord(store, call) !== undefined;
  const record = recordOf(call, store, { containerNetns, former, firewall });
  // Awaited here, since the namespace is closed when this function ends.
  return await transaction(call.host, async (tx) => {
    tx.onFailure('remove the record of the attachment', () => record.abandon());
    const addressing = planAddressing(config, await addIpam({ ...call, record }, config, tx));
    const pair = { hostName: freeVethName(), hostMac: randomMac(), containerMac: config.mac ?? randomMac() };
    const attachment: Attachment = { config, ifname: call.ifname, netns: call.netns, pair, addressing };
    await tx.step(() => noteAttachment(call, record, attachment));
    const gateways = config.isGateway ? gatewayCidrs(attachment) : [];
    await tx.step(() => requireHost(call, attachment, gateways));
    const made = await joinBridge(call, tx, { attachment, gateways, netnsPath: netns.fdPath });
    await tx.step(() => netns.run(() => buildContainerSide(attachment)));
    await tx.step(() => enableForwarding(gateways));
    if (firewall !== '') {
      const cidrs = addressing.addresses.map(({ cidr }) => cidr).filter(({ ip }) => config.ipMasq.includes(ip.family));
      tx.onFailure('remove the masquerade rules', () =>
        masquerades[firewall].remove(ownerOf(call), { only: cidrs }, config.ipMasq),
      );
      await tx.step(() => masquerades[firewall].add(ownerOf(call), cidrs, isKnown));
    }
    await tx.step(() => waitUntilUsable(attachment, netns));
    await tx.step(() => record.finish());
    return planResult(attachment, made);
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
    ...(config.macSpoofCheck ? { spoofCheck: true } : {}),
  });
  forgetDeleted(storeOf(call), call);
}

function gatewayCidrs({ addressing }: Attachment): Cidr[] {
  return addressing.addresses.flatMap(({ cidr, gateway }) =>
    gateway === undefined ? [] : [{ ip: gateway, prefix: cidr.prefix }],
  );
}

/** What would make the attachment useless is said before anything is built, what only harms it in the log. */
function requireHost(call: Call, { config, addressing }: Attachment, gateways: readonly Cidr[]): void {
  const holder = gateways.length === 0 ? undefined : (vlanGatewayName(config, gateways) ?? config.bridge);
  requireIpv6(addressing, holder);
  requireIpv6Mtu(config, addressing);
  warnAtFirstUse(call, config, { addressing, gateways });
}

/** Runs inside the container's namespace. */
function buildContainerSide(attachment: Attachment): void {
  applySysctls(planContainerSysctls(attachment));
  runBatch(planContainerBatch(attachment));
}

/** Where the setting is hidden, as in some runtimes' containers, it was warned of: it is the host's to have it on. */
function enableForwarding(gateways: readonly Cidr[]): void {
  for (const family of familiesOf(gateways)) {
    if (readSysctl(FORWARDING[family]) !== undefined) writeSysctl(FORWARDING[family], '1');
  }
}

/** The port forwards, the neighbours know, and no address is still asked about. */
async function waitUntilUsable({ config, ifname, pair, addressing }: Attachment, netns: Netns): Promise<void> {
  if (config.staysDown) return;
  await waitForPort(pair.hostName);
  // Whoever remembers one of the addresses remembers another MAC address with it.
  if (addressing.addresses.length > 0) netns.run(() => announceMac(ifname, pair.containerMac));
  if (addressing.addresses.some(({ cidr }) => cidr.ip.family === 6)) await settleAddresses(netns, ifname);
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
  const previous = prevResultIfReadable(call.config);
  const known: Known = { record: currentRecord(call, store, previous), previous };
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
    addresses = detach(call, { ...known, store, bridge: config.bridge });
  });
  const linkIsGone = errors.length === 0;
  let isRepeated = false;
  await attempt(() => {
    isRepeated = known.record === undefined && 'allBut' in addresses && isDeleted(call, store);
  });
  if ((config.macSpoofCheck || known.record?.spoofCheck === true) && !isRepeated)
    await attempt(() => allowSpoofing(call));
  for (const firewall of isRepeated ? [] : firewallsOf(known.record, config)) {
    await attempt(() => masquerades[firewall].remove(ownerOf(call), addresses, config.ipMasq));
  }
  // The record stays ours to remove: without it a second try would not know what is left.
  const record = recordOf(call, store, { containerNetns: '', former: [], firewall: '' });
  if (linkIsGone) await attempt(() => askIpam({ ...call, record }, config, 'DEL'));
  if (errors.length > 0) throw combineErrors(errors);
  removeRecordOf(store, call);
  rememberDeleted(store, call);
}

/** Without nft there is nobody who could take rules away, and no later try would find more. */
function allowSpoofing(call: Call): void {
  if (findTool('nft') === undefined) call.host.warn('rules against spoofed MAC addresses may stay: nft is gone');
  else removeSpoofChecks([call]);
}

/** Deleted, and not made again since by a plugin that does not know of that: the reference's leaves a lease. */
function isDeleted(call: Call, store: Store): boolean {
  if (!wasDeleted(store, call)) return false;
  return !storeExists(store) || findLeases(store, call, { canWrite: false }).exact.length === 0;
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
  for (const firewall of config.ipMasq.length === 0 ? [] : installedBackends()) {
    await attempt(async () => removeUnlisted(firewall, store, valid));
  }
  if (config.macSpoofCheck) {
    await attempt(async () => {
      removeOrphanedSpoofChecks();
      return [];
    });
  }
  await attempt(async () => {
    await askIpam(call, config, 'GC');
    return [];
  });
  if (errors.length > 0) throw combineErrors(errors);
}

/** Masquerade of attachments that left neither record nor lease, such as the reference's. */
function removeUnlisted(firewall: BackendName, store: Store, valid: readonly ValidAttachment[]): readonly unknown[] {
  const { network, warn } = store;
  const present = () => [
    ...loadSubjects(store).map(({ containerId, ifname }) => ({ network, containerId, ifname })),
    ...valid.map(({ containerID, ifname }) => ({ network, containerId: containerID, ifname })),
  ];
  masquerades[firewall].removeUnlisted({ network, present, warn });
  return [];
}

/** Without the one that is left of a former attachment: the reference deleted that, and added the container again. */
function currentRecord(call: Call, store: Store, previous: Result | undefined): AttachmentRecord | undefined {
  const record = knownRecord(store, call);
  const told = containerAddresses(previous, call.ifname).map(formatCidr);
  const isOther = told.length > 0 && record !== undefined && record.addresses.length > 0;
  return isOther && !told.some((text) => record.addresses.includes(text)) ? undefined : record;
}

/** By our record; the reference, which leaves none, may have taken either. */
function firewallsOf(record: AttachmentRecord | undefined, config: BridgeConfig): BackendName[] {
  const recorded = BACKENDS.find((backend) => backend === record?.firewall);
  if (recorded !== undefined) return [recorded];
  return config.ipMasq.length === 0 ? [] : backendsInUse(config.ipMasqBackend?.backend);
}

function ownerOf(call: Call): Owner {
  return { network: call.config.name, containerId: call.containerId, ifname: call.ifname };
}
