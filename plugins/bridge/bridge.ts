/**
 * bridge: joins a container to a Linux bridge through a veth pair. What is built is decided in ./plan.ts,
 * ./addressing.ts and ./masquerade.ts; here is the order in which it is done and undone.
 */
import { CniError, code, combineErrors } from '../../lib/cni/errors.ts';
import type { Call, Plugin } from '../../lib/cni/plugin.ts';
import { prevResultIfReadable } from '../../lib/cni/prev-result.ts';
import type { Result } from '../../lib/cni/result.ts';
import { transaction } from '../../lib/cni/transaction.ts';
import { findTool } from '../../lib/exec.ts';
import { runBatch } from '../../lib/iproute2/batch.ts';
import { showLink } from '../../lib/iproute2/show.ts';
import { linkNames } from '../../lib/linux/links.ts';
import { type Netns, netnsState, openNetns } from '../../lib/linux/netns.ts';
import { randomHex } from '../../lib/linux/random.ts';
import { writeSysctl } from '../../lib/linux/sysctl.ts';
import type { Cidr, Family } from '../../lib/net/ip.ts';
import { randomMac } from '../../lib/net/mac.ts';
import { planAddressing } from './addressing.ts';
import { ensureBridge } from './bridge-link.ts';
import { checkAttachment } from './check.ts';
import { allAddresses, containerAddresses, deleteContainerLink, deleteHostLink } from './detach.ts';
import { addIpam, askIpam } from './ipam.ts';
import { type Addresses, addMasquerade, type Owner, removeMasquerade } from './masquerade.ts';
import {
  type Attachment,
  planContainerBatch,
  planContainerSysctls,
  planHostBatch,
  planHostSysctls,
  planResult,
  type Sysctl,
} from './plan.ts';
import { type BridgeConfig, parseConfig } from './schema.ts';

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
  async gc(call) {
    await askIpam(call, parseConfig(call), 'GC');
  },
  async status(call) {
    const config = parseConfig(call);
    requireTools(config);
    await askIpam(call, config, 'STATUS');
  },
};

async function add(call: Call): Promise<Result> {
  const config = parseConfig(call);
  using netns = openNetns(call.netns);
  refuseTakenIfname(call, netns);
  // Awaited here, since the namespace is closed when this function ends.
  return await transaction(call.host, async (tx) => {
    const addressing = planAddressing(config, await addIpam(call, config, tx));
    const pair = { hostName: freeHostName(), hostMac: randomMac(), containerMac: config.mac ?? randomMac() };
    const attachment: Attachment = { config, ifname: call.ifname, netns: call.netns, pair, addressing };
    const gateways = config.isGateway ? gatewayCidrs(attachment) : [];
    const bridgeMac = await tx.step(() => ensureBridge(config, gateways));
    tx.onFailure('delete the veth pair', () => deleteHostLink(pair.hostName));
    await tx.step(() => buildHostSide(attachment, netns));
    await tx.step(() => netns.run(() => buildContainerSide(attachment)));
    await tx.step(() => enableForwarding(gateways));
    if (config.ipMasq) {
      const cidrs = addressing.addresses.map(({ cidr }) => cidr);
      tx.onFailure('remove the masquerade rules', () => unmasquerade(ownerOf(call), { only: cidrs }));
      await tx.step(() => addMasquerade(ownerOf(call), cidrs));
    }
    await tx.step(() => waitForPort(pair.hostName));
    return planResult(attachment, bridgeMac);
  });
}

/** Refused before anything is asked of the IPAM plugin: the lease of the attachment that is there is not ours to touch. */
function refuseTakenIfname(call: Call, netns: Netns): void {
  if (!netns.run(linkNames).has(call.ifname)) return;
  throw new CniError(code.conflict, `container veth name ("${call.ifname}") already exists in ${call.netns}`, {
    details:
      'the container already has an interface of this name: DEL that attachment first or choose another CNI_IFNAME',
  });
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
 * still speaks of it. Every step is tried; the lease stays when the link does.
 */
async function del(call: Call): Promise<void> {
  const config = parseConfig(call);
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
    addresses = detach(call);
  });
  const linkIsGone = errors.length === 0;
  if (config.ipMasq && config.ipamType !== '') await attempt(() => unmasquerade(ownerOf(call), addresses));
  if (linkIsGone) await attempt(() => askIpam(call, config, 'DEL'));
  if (errors.length > 0) throw combineErrors(errors);
}

/** Deletes the link, wherever it can be reached, and tells the addresses that it had or that ADD had given it. */
function detach(call: Call): Addresses {
  const known = prevResultIfReadable(call.config);
  const recorded = containerAddresses(known, call.ifname);
  if (netnsState(call.netns) !== 'netns') {
    deleteHostLinkOf(known);
    return recorded.length > 0 ? { only: recorded } : { allBut: [] };
  }
  using netns = openNetns(call.netns);
  const only = [...recorded, ...netns.run(() => deleteContainerLink(call.ifname))];
  return only.length > 0 ? { only } : { allBut: netns.run(allAddresses) };
}

/** The namespace is out of reach but may live on: its end of the pair goes with the host's, which prevResult names. */
function deleteHostLinkOf(known: Result | undefined): void {
  for (const { name, mac, sandbox } of known?.interfaces ?? []) {
    if (sandbox !== undefined || mac === undefined || !linkNames().has(name)) continue;
    const link = showLink(name);
    if (link?.linkinfo?.info_kind === 'veth' && link.address === mac.toLowerCase()) deleteHostLink(name);
  }
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

/** Code 50 naming what is missing, so that the node is not ready instead of every pod failing. */
function requireTools(config: BridgeConfig): void {
  const needed = ['ip', ...(config.ipMasq ? ['iptables-restore', 'iptables-save'] : [])];
  const missing = needed.filter((tool) => findTool(tool) === undefined);
  if (missing.length === 0) return;
  throw new CniError(code.pluginNotAvailable, `cannot find ${missing.join(', ')}`, {
    details: 'install the packages iproute2 and iptables on this node',
  });
}
