/** Pure: the configuration of the delegate, as the original makes it (README.md shows an example). */
import type { JsonObject } from '../../lib/cni/json.ts';
import type { NetConf } from '../../lib/cni/plugin.ts';
import type { Result } from '../../lib/cni/result.ts';
import { sortKeys } from '../../lib/libcni/sort-keys.ts';
import { networkText, parseCidr } from '../../lib/net/ip.ts';
import type { FlannelConfig } from './schema.ts';
import { distinct, type SubnetEnv } from './subnet-env.ts';

/** What the user set in `delegate` and `ipam` wins, but for name, version, ranges and that all networks are routed. */
export function planDelegate({ name, cniVersion }: NetConf, config: FlannelConfig, env: SubnetEnv): JsonObject {
  const { type, delegate, runtimeConfig, takesPorts } = config;
  return sorted({
    type,
    ipMasq: !env.ipMasq,
    ...(env.mtu === undefined ? {} : { mtu: env.mtu }),
    ...(type === 'bridge' ? { isGateway: true } : {}),
    ...delegate,
    ...(runtimeConfig === undefined ? {} : { runtimeConfig }),
    ...(takesPorts && type === 'bridge' ? { capabilities: { portMappings: true } } : {}),
    ...(cniVersion === '' ? {} : { cniVersion }),
    name,
    ipam: planIpam(config, env),
  });
}

function planIpam({ ipam, routes }: FlannelConfig, { subnets, networks }: SubnetEnv): JsonObject {
  return {
    type: 'host-local',
    ...ipam,
    ranges: subnets.map((subnet) => [{ subnet: networkText(subnet) }]),
    routes: [...routes, ...networks.map((network) => ({ dst: networkText(network) }))],
  };
}

/**
 * What is left to go by when the file is gone: the subnets are those of the addresses that ADD gave. That somebody
 * masqueraded is assumed, so that it is looked for.
 */
export function environmentOf(result: Result | undefined): SubnetEnv {
  const subnets = distinct((result?.ips ?? []).flatMap(({ address }) => parseCidr(address) ?? []));
  return { networks: [], subnets, mtu: undefined, ipMasq: false };
}

/** `delegated`, with keys of this call: the runtime's `prevResult` or list of attachments. */
export function withKeys(delegated: JsonObject, { cniVersion }: NetConf, keys: JsonObject): JsonObject {
  return sorted({ ...delegated, ...(cniVersion === '' ? {} : { cniVersion }), ...keys });
}

function sorted(config: JsonObject): JsonObject {
  return sortKeys(config) as JsonObject;
}
