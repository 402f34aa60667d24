/** The good ADD that each case spoils in one way. */

import { type JsonObject, network, stdinFor } from '../../support/networks.ts';
import type { PluginCall } from '../../support/plugins.ts';
import type { Namespace, World } from '../../support/world.ts';

export interface Scene {
  readonly world: World;
  readonly pod: Namespace;
  /** Folder of the executables; ours when absent. */
  readonly bin?: string;
}

export interface BadCall {
  readonly what: string;
  /** What differs from the good call. */
  readonly spoil?: (scene: Scene) => Partial<PluginCall> | Promise<Partial<PluginCall>>;
  /** Brings the world into the state that the call has to refuse; such a case gets a world of its own. */
  readonly prepare?: (scene: Scene) => Promise<unknown>;
  readonly code: number;
  /** What message or details have to name. */
  readonly names: string | RegExp;
  /** `bridge` when absent. */
  readonly plugin?: 'bridge' | 'host-local' | 'portmap' | 'loopback';
}

/** The bridge's configuration, good but for `over`. */
export function good({ world }: Scene, over: JsonObject = {}): JsonObject {
  return { ...stdinFor(network(world), 'bridge'), ...over };
}

/** The same with a change of its `ipam`. */
export function ipam(scene: Scene, over: JsonObject): JsonObject {
  const config = good(scene);
  return { ...config, ipam: { ...(config.ipam as JsonObject), ...over } };
}

export const prevResult = {
  cniVersion: '1.1.0',
  interfaces: [{ name: 'cni0' }, { name: 'veth1' }, { name: 'eth0', sandbox: '/run/netns/none' }],
  ips: [{ address: '10.7.0.2/24', gateway: '10.7.0.1', interface: 2 }],
};

/** portmap's configuration with one mapping. */
export function mapped({ world }: Scene, mapping: JsonObject, over: JsonObject = {}): JsonObject {
  const config = stdinFor(network(world, { portmap: {} }), 'portmap');
  const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp', ...mapping }];
  return { ...config, prevResult, runtimeConfig: { portMappings }, ...over };
}
