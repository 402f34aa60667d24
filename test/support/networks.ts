/** Network configurations for tests, and what a runtime makes of one for a single plugin (libcni's rules). */

import type { World } from './world.ts';

export type JsonObject = { readonly [key: string]: unknown };

export interface Conflist {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly JsonObject[];
}

export interface NetworkOptions {
  readonly name?: string;
  readonly cniVersion?: string;
  /** One range set each. */
  readonly subnets?: readonly string[];
  /** Further keys of the bridge plugin. */
  readonly bridge?: JsonObject;
  /** Further keys of its `ipam`. */
  readonly ipam?: JsonObject;
  /** Further keys of portmap; no portmap at all when absent. */
  readonly portmap?: JsonObject;
}

export type Family = 4 | 6;

/** A pod subnet by family. */
export const subnets = { 4: '10.7.0.0/24', 6: 'fd00:7::/64' } as const;
/** The gateway in it. */
export const gateways = { 4: '10.7.0.1', 6: 'fd00:7::1' } as const;

/** The three kinds of networks that most tests go through. */
export const stacks: readonly { readonly stack: string; readonly families: readonly Family[] }[] = [
  { stack: 'IPv4', families: [4] },
  { stack: 'IPv6', families: [6] },
  { stack: 'dual stack', families: [4, 6] },
];

/** A bridge that is gateway, default route and masquerade for its pods. */
export function network(world: World, options: NetworkOptions = {}): Conflist {
  const ranges = (options.subnets ?? [subnets[4]]).map((subnet) => [{ subnet }]);
  const bridge = {
    type: 'bridge',
    bridge: 'cni0',
    isDefaultGateway: true,
    ipMasq: true,
    ipam: { type: 'host-local', dataDir: world.dataDir, ranges, ...options.ipam },
    ...options.bridge,
  };
  const portmap = { type: 'portmap', capabilities: { portMappings: true }, ...options.portmap };
  return {
    cniVersion: options.cniVersion ?? '1.1.0',
    name: options.name ?? 'testnet',
    plugins: options.portmap === undefined ? [bridge] : [bridge, portmap],
  };
}

/** A network with portmap whose pods have one address of each of `families`. */
export function stackNetwork(world: World, families: readonly Family[], options: NetworkOptions = {}): Conflist {
  return network(world, { portmap: {}, ...options, subnets: families.map((family) => subnets[family]) });
}

export interface StdinOptions {
  readonly prevResult?: unknown;
  readonly runtimeConfig?: JsonObject;
}

/** What the plugin of type `type` gets on stdin. */
export function stdinFor(conflist: Conflist, type: string, options: StdinOptions = {}): JsonObject {
  const plugin = conflist.plugins.find((candidate) => candidate.type === type);
  if (plugin === undefined) throw new Error(`no plugin ${type} in the conflist`);
  return { ...plugin, cniVersion: conflist.cniVersion, name: conflist.name, ...options };
}

export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: string;
  readonly hostIP?: string;
}

/** `hostPort` to `containerPort` for TCP and UDP. */
export function bothProtocols(hostPort: number, containerPort: number): readonly PortMapping[] {
  return ['tcp', 'udp'].map((protocol) => ({ hostPort, containerPort, protocol }));
}
