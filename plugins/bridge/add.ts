/** ADD, in the order in which it is done and undone. What is built is decided in ./plan.ts, ./addressing.ts and ./masquerade.ts. */
import { DEFAULT_MIN_AGE_MS } from '../../lib/attachment/collect.ts';
import { forgetDeleted } from '../../lib/attachment/deleted.ts';
import { describeLeases } from '../../lib/attachment/describe.ts';
import { knownRecord, openRecord, recordOf, settleCrashed, storeOf } from '../../lib/attachment/of-call.ts';
import { type RecordHandle, waitWhileAdding } from '../../lib/attachment/record-handle.ts';
import type { Store } from '../../lib/attachment/store.ts';
import { CniError, code } from '../../lib/cni/errors.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import type { Result } from '../../lib/cni/result.ts';
import { transaction } from '../../lib/cni/transaction.ts';
import { chooseBackend } from '../../lib/firewall/choice.ts';
import { runBatch } from '../../lib/iproute2/batch.ts';
import { showLink } from '../../lib/iproute2/show.ts';
import { announceMac, isRunning } from '../../lib/linux/libc.ts';
import { linkNames } from '../../lib/linux/links.ts';
import { type Netns, openNetns, ownCookie } from '../../lib/linux/netns.ts';
import { readSysctl, writeSysctl } from '../../lib/linux/sysctl.ts';
import { type Cidr, formatCidr } from '../../lib/net/ip.ts';
import { randomMac } from '../../lib/net/mac.ts';
import { planAddressing } from './addressing.ts';
import { freeVethName, vlanGatewayName } from './bridge-link.ts';
import { warnAtFirstUse } from './first-use.ts';
import { addIpam } from './ipam.ts';
import { requireIpv6, requireIpv6Mtu } from './ipv6.ts';
import { joinBridge } from './join.ts';
import { type Attachment, planContainerBatch, planContainerSysctls, planResult } from './plan.ts';
import { FORWARDING, familiesOf } from './preflight.ts';
import { besideRules, rulesFor } from './rules.ts';
import { parseConfig } from './schema.ts';
import { settleAddresses } from './settle.ts';
import { applySysctls } from './sysctls.ts';

export async function add(call: Call): Promise<Result> {
  const config = parseConfig(call);
  using netns = openNetns(call.netns);
  const store = storeOf(call);
  const firewall = config.ipMasq.length === 0 ? '' : chooseBackend(config.ipMasqBackend).backend;
  await waitWhileAdding(store, call, call.host);
  const former = await settleCrashed(store, call);
  const { containerNetns, links } = netns.run(() => ({ containerNetns: ownCookie(), links: linkNames() }));
  if (links.has(call.ifname)) throw takenIfname(call, store);
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
    const result = planResult(attachment, made);
    const rules = rulesFor(call, attachment, { firewall, isKnown, result });
    tx.onFailure('remove the rules', rules.remove);
    const buildTheRest = () => {
      netns.run(() => buildContainerSide(attachment));
      enableForwarding(gateways);
    };
    await tx.step(() => besideRules(call.host, rules.add, buildTheRest));
    await tx.step(() => waitUntilUsable(attachment, netns));
    await tx.step(() => record.finish());
    return result;
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
const PORT_PAUSE_MS = 1;

async function waitForPort(hostName: string): Promise<void> {
  const deadline = process.hrtime.bigint() + BigInt(PORT_WAIT_MS) * 1_000_000n;
  while (!isRunning(hostName)) {
    if (process.hrtime.bigint() > deadline) {
      throw new CniError(code.toolFailed, `bridge port in error state: ${showLink(hostName)?.operstate ?? 'missing'}`, {
        details: `${hostName} did not come up within ${PORT_WAIT_MS / 1000} s; is the bridge up and the container's link not set down?`,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, PORT_PAUSE_MS));
  }
}
