/**
 * Runs the pure code of a usual call once while the snapshot is built: what ran there has its bytecode in the snapshot
 * and need not be compiled at every start. Touches nothing but /bin/true. What it saves is measured by `make bench`.
 */
import { closeSync, openSync } from 'node:fs';
import { candidates, planAllocations } from '../ipam/host-local/allocate.ts';
import { parseConfigWithRanges, parseLocation } from '../ipam/host-local/schema.ts';
import { findOwned, renderOwners } from '../lib/attachment/index.ts';
import { parseLease } from '../lib/attachment/lease-store.ts';
import { claimsOf, formatClaim, parseClaim } from '../lib/attachment/port-claims.ts';
import { parseRecord as parsePortRecord, renderRecord } from '../lib/attachment/port-record.ts';
import { parseIndex } from '../lib/attachment/port-registry.ts';
import { type AttachmentRecord, parseRecord, recordName } from '../lib/attachment/record.ts';
import { parseStamp } from '../lib/attachment/sweep.ts';
import { parseResult, renderResult } from '../lib/cni/convert.ts';
import { dispatch } from '../lib/cni/dispatch.ts';
import { CniError } from '../lib/cni/errors.ts';
import { encode, encodeCompact } from '../lib/cni/json.ts';
import type { Call, Host, Plugin, Verb } from '../lib/cni/plugin.ts';
import { parseNetConf, readEnvironment } from '../lib/cni/request.ts';
import type { Result } from '../lib/cni/result.ts';
import { transaction } from '../lib/cni/transaction.ts';
import { forgetTools, run } from '../lib/exec.ts';
import { parseStamp as parseFirewallStamp } from '../lib/firewall/choice.ts';
import { renderBatch } from '../lib/iproute2/batch.ts';
import { planGuard } from '../lib/iptables/localnet-guard.ts';
import { parseNat } from '../lib/iptables/nat.ts';
import { Chronicle } from '../lib/journal/chronicle.ts';
import { openLineFile } from '../lib/journal/line-file.ts';
import { noteChild, noteStep } from '../lib/journal/observer.ts';
import { parseLinkNames } from '../lib/linux/links.ts';
import { hostportRules } from '../lib/nft/hostports.ts';
import { parseListing } from '../lib/nft/nft.ts';
import { planAddressing } from './bridge/addressing.ts';
import { isAsAsked, planBridge } from './bridge/bridge-link.ts';
import { findProblem } from './bridge/check.ts';
import type { Expected, Seen } from './bridge/check-subject.ts';
import { planMasquerade, planUnmasquerade } from './bridge/masquerade-iptables.ts';
import * as nftMasquerade from './bridge/masquerade-nft.ts';
import {
  type Attachment,
  planContainerBatch,
  planContainerSysctls,
  planHostBatch,
  planHostSysctls,
  planResult,
} from './bridge/plan.ts';
import { pointlessRoutes } from './bridge/pointless.ts';
import { parseConfig } from './bridge/schema.ts';
import { planDelegate } from './flannel/plan.ts';
import { parseConfig as parseFlannelConfig } from './flannel/schema.ts';
import { parseSubnetEnv } from './flannel/subnet-env.ts';
import { attachmentOf, type Forwarding, makeForwarding } from './portmap/forwarding.ts';
import * as nftPlan from './portmap/nft-plan.ts';
import { addOwned, ensureShared, nftRulesOf } from './portmap/nft-rules.ts';
import { decideOwnership } from './portmap/ownership.ts';
import { findMissing, planRemoval, planUsualAdd, planUsualRemoval } from './portmap/plan.ts';
import { rulesOf } from './portmap/rules.ts';
import { parsePortmapConfig } from './portmap/schema.ts';

const PAIR = { hostName: 'veth00000000', hostMac: '02:00:00:00:00:01', containerMac: '02:00:00:00:00:02' };

const NAMES = { bridgeMac: PAIR.hostMac, gateway: undefined };

const CONFIG = {
  cniVersion: '1.1.0',
  name: 'warm-up',
  isDefaultGateway: true,
  ipMasq: true,
  hairpinMode: true,
  ipam: {
    type: 'host-local',
    ranges: [[{ subnet: '10.0.0.0/24' }], [{ subnet: 'fd00::/64' }]],
    routes: [{ dst: '0.0.0.0/0' }],
  },
  runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
};

const SUBNET_ENV = 'FLANNEL_NETWORK=10.0.0.0/16\nFLANNEL_SUBNET=10.0.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n';

const RECORD: AttachmentRecord = {
  version: 1,
  state: 'added',
  plugin: 'bridge',
  network: CONFIG.name,
  containerId: 'id',
  ifname: 'eth0',
  leases: [{ address: '10.0.0.2', inode: '1', mtimeNs: '1', ctimeNs: '1' }],
  addresses: ['10.0.0.2/24'],
  bootId: '',
  machineId: '',
  hostNetns: '1',
  containerNetns: '2',
  netnsPath: '/absent',
  hostLink: { name: PAIR.hostName, mac: PAIR.hostMac },
  containerMac: PAIR.containerMac,
  firewall: 'iptables',
  timeMs: 0,
  bootMs: 0,
};

/** A rule as `nft --json list` prints it. */
const LISTING = JSON.stringify({
  nftables: [
    { chain: { name: 'hostports' } },
    {
      rule: {
        chain: 'hostports',
        handle: 1,
        comment: 'id',
        expr: [
          { match: { op: '==', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: 8080 } },
          { dnat: { addr: '10.0.0.2', port: 80 } },
        ],
      },
    },
  ],
});

const host: Host = { builtins: new Map(), warn: () => {}, checkpoint: async () => {} };

/** Asynchronous parts end before the snapshot is taken. */
export function warmUp(plugins: ReadonlyMap<string, Plugin>): void {
  run('true', []);
  forgetTools();
  const call = makeCall('ADD');
  const ipam = warmHostLocal(call);
  warmRecords();
  warmFlannel(call);
  warmChronicle(call);
  warmPortmap(call, warmBridge(call, ipam));
  for (const plugin of plugins.values()) void warmDispatch(plugin);
  void transaction(host, async (tx) => {
    tx.onFailure('forget', () => {});
    await tx.step(() => Promise.reject(new CniError(0, 'warm-up')));
  }).catch(() => {});
}

function makeCall(verb: Verb): Call {
  const env = {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: 'id',
    CNI_NETNS: '/absent',
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/absent',
  };
  const stdin = JSON.stringify(CONFIG);
  return { verb, ...readEnvironment(env), config: parseNetConf(stdin), stdin, env, host };
}

function warmHostLocal(call: Call): Result {
  const { sets, requested, routes } = parseConfigWithRanges(call.config, call.args);
  parseLocation(call.config);
  const plan = planAllocations({ sets, requested, containerId: call.containerId, leases: [] });
  const found = plan.flatMap((allocation) => Iterator.from(candidates(allocation, {})).take(1).toArray());
  const ips = found.map(({ ip, range }) => ({
    address: `${ip.text}/${range.subnet.prefix}`,
    gateway: range.gateway.text,
  }));
  return roundTrip({ interfaces: [], ips, routes, dns: {} });
}

function warmRecords(): void {
  parseRecord(JSON.stringify(RECORD));
  recordName(RECORD);
  parseStamp('{"bootId": "", "atMs": 0, "isFruitless": false, "stuck": 0, "ranges": ""}');
  parseFirewallStamp('{"bootId": "", "backend": "iptables", "why": "", "inUse": ["iptables"]}');
  parseLease('id\r\neth0');
  const index = renderOwners([{ name: '10.0.0.2', containerId: 'id' }]);
  findOwned('id', (start, size) => index.subarray(start, start + size));
}

function warmFlannel(call: Call): void {
  const env = parseSubnetEnv(SUBNET_ENV);
  if ('missing' in env) throw new Error('the warm-up environment is incomplete');
  encodeCompact(planDelegate(call.config, parseFlannelConfig(call), env));
}

/** To /dev/null: what the journal and a log of this machine would say is no plugin's business. */
function warmChronicle(call: Call): void {
  const fd = openSync('/dev/null', 'w');
  const openSegment = () => {
    expectRefusal(() => openLineFile('/dev/null'));
    return fd;
  };
  const chronicle = new Chronicle({ plugin: 'bridge', env: call.env, complain: () => {}, openSegment });
  chronicle.begin(call);
  noteStep('warm up');
  noteChild({ tool: 'true', args: [], input: '' })('0');
  chronicle.warn('warm-up');
  chronicle.end(new CniError(0, 'warm-up'));
  closeSync(fd);
}

function expectRefusal(action: () => unknown): void {
  try {
    action();
  } catch {
    // That was the point.
    return;
  }
  throw new Error('the warm-up wanted to be refused');
}

function warmBridge(call: Call, ipam: Result): Result {
  const config = parseConfig(call);
  const addressing = planAddressing(config, ipam);
  const attachment: Attachment = { config, ifname: call.ifname, netns: call.netns, pair: PAIR, addressing };
  const cidrs = addressing.addresses.map(({ cidr }) => cidr).slice(0, 1);
  const owner = { network: call.config.name, containerId: call.containerId, ifname: call.ifname };
  const seen = { bridge: undefined, gateway: undefined };
  isAsAsked({ config, gateways: cidrs, seen });
  const { commands, made } = planBridge({ config, gateways: cidrs, seen, names: NAMES });
  renderBatch([...commands, ...planHostBatch(attachment, '/proc/1/fd/0'), ...planContainerBatch(attachment)]);
  planHostSysctls(attachment);
  pointlessRoutes(addressing);
  planContainerSysctls(attachment);
  const table = tableOf(planMasquerade(owner, cidrs, undefined));
  planUnmasquerade(owner, { only: cidrs }, table);
  nftMasquerade.planMasquerade(owner, cidrs, []).toString();
  nftMasquerade.findMissing(owner, cidrs, parseListing(LISTING));
  const result = roundTrip(planResult(attachment, made));
  const expected: Expected = { config, owner, firewalls: ['iptables'], ifname: call.ifname, netns: call.netns, result };
  findProblem(expected, healthy(expected));
  parseLinkNames('1\n2\n lo: 0\n');
  return result;
}

function healthy({ result, config }: Expected): Seen {
  const link = {
    ifindex: 1,
    link_index: 1,
    flags: ['UP'],
    mtu: 1500,
    operstate: 'UP',
    master: config.bridge,
    addr_info: [],
  };
  const links = result.interfaces.map(({ name, mac = '' }) => ({
    ...link,
    ifname: name,
    address: mac,
    linkinfo: { info_kind: 'veth' },
  }));
  return {
    hostLinks: new Map(
      links.map((one) => [
        one.ifname,
        { ...one, linkinfo: { info_kind: one.ifname === config.bridge ? 'bridge' : 'veth' } },
      ]),
    ),
    containerLink: links[2],
    containerRoutes: [],
    forwarding: { 4: true, 6: true },
    missingRules: [],
    vlans: new Map(),
    missingSpoofRule: undefined,
  };
}

function warmPortmap(call: Call, result: Result): void {
  const forwarding = makeForwarding(attachmentOf(call), {
    config: parsePortmapConfig(call.config.raw),
    result,
    backend: 'iptables',
  });
  const rules = rulesOf(forwarding, 4);
  if (rules === undefined) throw new Error('the warm-up configuration maps no port');
  const table = tableOf(planUsualAdd(rules));
  planUsualRemoval(rules);
  planRemoval({ chain: rules.chain, addresses: [rules.address], entries: rules.entries }, table);
  findMissing(rules, table);
  planGuard('expect', undefined);
  warmOwnership(forwarding);
  warmNftables(forwarding);
}

function warmOwnership(forwarding: Forwarding): void {
  const { bootId, machineId, hostNetns, containerNetns, netnsPath, timeMs, bootMs } = RECORD;
  const traces = { bootId, machineId, hostNetns, containerNetns, netnsPath, timeMs, bootMs };
  parsePortRecord(renderRecord({ ...forwarding, ceded: [], traces, state: 'added' }));
  const claims = claimsOf(forwarding.mappings).map(formatClaim);
  parseIndex(JSON.stringify({ version: 1, bootId, hostNetns, records: { 'a.json': { claims } } }));
  const { network, containerId, mappings } = forwarding;
  const holder = { network, containerId: 'other', why: '', isRecorded: true };
  const others = claims.flatMap((text) => parseClaim(text) ?? []);
  decideOwnership({ network, containerId, mappings, policy: 'warn' }, [
    { ...holder, claims: others, verdict: 'alive' },
  ]);
}

function warmNftables(forwarding: Forwarding): void {
  const rules = nftRulesOf(forwarding, 4);
  if (rules === undefined) return;
  addOwned(ensureShared(rules), rules).toString();
  const listing = parseListing(LISTING);
  const removal = { containerId: forwarding.containerId, addresses: ['10.0.0.2'], own: rules.owned };
  nftPlan.planRemoval(removal, hostportRules(listing), () => ({ addresses: [], owned: [] }));
  nftPlan.findMissing(rules, listing);
}

function tableOf(lines: readonly string[]) {
  return parseNat(lines.join('\n'));
}

function roundTrip(result: Result): Result {
  const rendered = renderResult(result, CONFIG.cniVersion);
  encode(rendered);
  return parseResult(rendered, CONFIG.cniVersion, 'result');
}

/** The frame around every call, once to a refusal: there is no such namespace. */
async function warmDispatch(plugin: Plugin): Promise<void> {
  const { env, stdin } = makeCall('CHECK');
  await dispatch({ plugin, env, readStdin: () => stdin, host, isOwnNetns: () => false });
}
