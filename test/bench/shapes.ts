/** Networks that the bench compares, and how each side writes one down. */

import type { Family, NetworkOptions } from '../support/networks.ts';

/** `nodecni` and `reference` chain bridge and portmap, by the same list. */
export type SideName = 'nodecni' | 'nodecni, one process' | 'nodecni, sets' | 'reference';
export type Backend = 'iptables' | 'nftables';

export interface Shape {
  readonly families: readonly Family[];
  readonly backend: Backend;
}

export const usual: Shape = { families: [4], backend: 'iptables' };

/** Room for more pods than any part makes. */
const SUBNETS = { 4: '10.99.0.0/16', 6: 'fd00:99::/64' } as const;

type Keys = Pick<NetworkOptions, 'bridge' | 'portmap'>;

const keysOf: Readonly<Record<SideName, (shape: Shape) => Keys>> = {
  nodecni: twoPlugins,
  'nodecni, one process': onePlugin,
  'nodecni, sets': flatRules,
  reference: twoPlugins,
};

export const sideNames = Object.keys(keysOf) as readonly SideName[];

/** bridge as gateway with masquerade and hairpin, host-local, and what forwards ports. */
export function networkOf(side: SideName, shape: Shape): Omit<NetworkOptions, 'name'> {
  return { subnets: shape.families.map((family) => SUBNETS[family]), ...keysOf[side](shape) };
}

function twoPlugins({ backend }: Shape): Keys {
  const isNft = backend === 'nftables';
  return {
    bridge: { hairpinMode: true, ...(isNft ? { ipMasqBackend: backend } : {}) },
    portmap: isNft ? { backend } : {},
  };
}

/** bridge forwards the ports, too. */
function onePlugin(shape: Shape): Keys {
  const { bridge, portmap } = twoPlugins(shape);
  return { bridge: { ...bridge, capabilities: { portMappings: true }, portmap } };
}

/** Rules that do not grow with the pods: whatever the shape says, by nftables. */
function flatRules(shape: Shape): Keys {
  const { bridge, portmap } = twoPlugins({ ...shape, backend: 'nftables' });
  const layout = { ruleLayout: 'sets' };
  return { bridge: { ...bridge, ...layout }, portmap: { ...portmap, ...layout } };
}
