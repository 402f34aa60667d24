/** A dual stack attachment, from its configuration to what `ip` shows of it when it is healthy. */

import type { Verb } from '../../../../lib/cni/plugin.ts';
import type { Result } from '../../../../lib/cni/result.ts';
import type { AddressInfo, LinkInfo } from '../../../../lib/iproute2/show.ts';
import { type Cidr, type Ip, parseCidr, parseIp } from '../../../../lib/net/ip.ts';
import { planAddressing } from '../../../../plugins/bridge/addressing.ts';
import type { Attachment } from '../../../../plugins/bridge/plan.ts';
import { type BridgeConfig, parseConfig } from '../../../../plugins/bridge/schema.ts';
import { fakeCall } from '../../lib/cni/fake-call.ts';

export const owner = { network: 'test', containerId: '1234', ifname: 'eth0' };
/** The reference's chain for this owner. */
export const chain = 'CNI-2bbe0c48b91a7d1b8a6753a8';

export function configured(keys: object = {}, verb: Verb = 'ADD'): BridgeConfig {
  return parseConfig(fakeCall(keys, { verb }));
}

export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`${text} is no CIDR`);
  return parsed;
}

export function ip(text: string): Ip {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new Error(`${text} is no address`);
  return parsed;
}

export const pair = {
  hostName: 'veth01020304',
  hostMac: '02:00:00:00:00:01',
  containerMac: '02:00:00:00:00:02',
};

/** For links that have to be made. */
export const names = {
  bridgeMac: '02:00:00:00:00:aa',
  gateway: { name: 'cni0.5', mac: '02:00:00:00:00:bb', port: 'vetha0b0c0d0', portMac: '02:00:00:00:00:cc' },
};

export const netns = '/run/netns/pod';

/** The attachment that `keys` and the IPAM plugin's `result` make. */
export function attachmentOf(keys: object, result: Partial<Result>): Attachment {
  const config = configured(keys);
  const ipam: Result = { interfaces: [], ips: [], routes: [], dns: {}, ...result };
  return { config, ifname: 'eth0', netns, pair, addressing: planAddressing(config, ipam) };
}

type LinkOptions = Partial<LinkInfo> & {
  /** CIDRs, in place of `addr_info`. */
  readonly addresses?: readonly string[];
};

/** What `ip -json -details addr show` prints of a link, as far as we read it: a bridge unless `over` says more. */
export function link(ifname: string, { addresses, ...over }: LinkOptions = {}): LinkInfo {
  return {
    ifname,
    ifindex: 7,
    flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
    mtu: 1500,
    operstate: 'UP',
    address: '02:00:00:00:00:09',
    linkinfo: { info_kind: 'bridge' },
    ...over,
    addr_info: addresses?.map(addressInfo) ?? over.addr_info ?? [],
  };
}

function addressInfo(text: string): AddressInfo {
  const [local = '', length] = text.split('/');
  const scope = local.startsWith('fe80:') ? 'link' : 'global';
  return { family: local.includes(':') ? 'inet6' : 'inet', local, prefixlen: Number(length), scope };
}
