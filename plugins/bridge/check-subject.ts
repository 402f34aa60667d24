/** What CHECK compares: what ADD built, what is there, and the words for a difference. */
import type { Interface, Result } from '../../lib/cni/result.ts';
import type { BackendName } from '../../lib/firewall/backend.ts';
import type { LinkInfo, PortVlan, RouteInfo } from '../../lib/iproute2/show.ts';
import type { Family } from '../../lib/net/ip.ts';
import type { Owner } from './masquerade.ts';
import type { BridgeConfig } from './schema.ts';

/** What CHECK looks at, read once. */
export interface Seen {
  /** By name: the bridge, the host's end of the pair, the gateway of a VLAN. */
  readonly hostLinks: ReadonlyMap<string, LinkInfo>;
  readonly containerLink: LinkInfo | undefined;
  readonly containerRoutes: readonly RouteInfo[];
  /** False only where it is seen to be off. */
  readonly forwarding: { readonly [F in Family]: boolean };
  /** Rules of the masquerade that are missing, each as a part of a sentence. */
  readonly missingRules: readonly string[];
  /** By port, with VLANs only. */
  readonly vlans: ReadonlyMap<string, readonly PortVlan[]>;
  /** Of the rules against spoofed MAC addresses. */
  readonly missingSpoofRule: string | undefined;
}

export interface Expected {
  readonly config: BridgeConfig;
  readonly owner: Owner;
  /** Where its masquerade rules may be. */
  readonly firewalls: readonly BackendName[];
  readonly ifname: string;
  readonly netns: string;
  readonly result: Result;
}

export interface Problem {
  readonly message: string;
  readonly details: string;
}

export function problem(message: string, details: string): Problem {
  return { message, details };
}

/** The interfaces of the result that are the host's, but for the bridge: the near end of the pair, a VLAN's gateway. */
export function hostInterfaces(result: Result, config: BridgeConfig): Interface[] {
  return result.interfaces.filter(({ name, sandbox }) => sandbox === undefined && name !== config.bridge);
}

/** The container's end as ADD told it. */
export function containerInterface({ result, ifname }: Expected): Interface | undefined {
  return result.interfaces.find(({ name, sandbox }) => name === ifname && sandbox !== undefined);
}

/** The near end of the pair: what `prevResult` names and the container's end leads to. */
export function findPort(
  { config, result }: Expected,
  { hostLinks, containerLink }: Pick<Seen, 'hostLinks' | 'containerLink'>,
): LinkInfo | undefined {
  return hostInterfaces(result, config)
    .map(({ name }) => hostLinks.get(name))
    .find((link) => link !== undefined && link.ifindex === containerLink?.link_index);
}
