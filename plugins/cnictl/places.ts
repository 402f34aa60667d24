/** Where the leases are that a command is about: what the command line says, else the configuration, else the default. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import * as z from 'zod/mini';
import { DEFAULT_DATA_DIR, locationOf, type StoreLocation, storeAt } from '../../lib/attachment/store.ts';
import { CniError, code, messageOf } from '../../lib/cni/errors.ts';
import { decode } from '../../lib/cni/json.ts';
import { quoteShort, requireNetworkName } from '../../lib/cni/names.ts';
import { listNetworks } from '../../lib/libcni/conf-dir.ts';
import type { Network } from '../../lib/libcni/network.ts';
import type { Invocation } from './command.ts';
import { confDirOf } from './request.ts';

/** One network's leases. */
export interface Place extends StoreLocation {
  /** From `reclaimMinAgeSeconds`; absent where the configuration does not say. */
  readonly minAgeMs?: number;
}

const ageSchema = z.object({
  ipam: z.optional(z.object({ reclaimMinAgeSeconds: z.optional(z.number().check(z.minimum(0))) })),
});

/**
 * What the configuration of `network` says: bridge, flannel and the like name the folder in `ipam.dataDir`. As a rule
 * one place; several where plugins of one list lease in several folders. Throws code 7.
 */
export function placesOf(network: Network, dataDir?: string): Place[] {
  const { name } = network;
  const places = network.plugins.flatMap(({ raw }): Place[] => {
    const location = locationOf({ name, raw });
    if (location === undefined) return [];
    const seconds = decode(ageSchema, raw, 'network configuration').ipam?.reclaimMinAgeSeconds;
    return [{ ...location, ...(seconds === undefined ? {} : { minAgeMs: seconds * 1000 }) }];
  });
  const [first = { dataDir: DEFAULT_DATA_DIR, network: name }] = places;
  if (dataDir !== undefined) return [{ ...first, dataDir }];
  return places.length === 0 ? [first] : [...new Map(places.map((place) => [place.dataDir, place])).values()];
}

/** The folder that `--data-dir` names. */
export function dataDirOf({ options, cwd }: Invocation): string | undefined {
  return options.dataDir === undefined ? undefined : resolve(cwd, options.dataDir);
}

/**
 * Those of the network called `name`, with a configuration or without one, as long as it has leases. Throws code 7 for
 * a network of which nothing is known.
 */
export function findPlaces(name: string, invocation: Invocation): Place[] {
  requireNetworkName(name);
  const dataDir = dataDirOf(invocation);
  const folder = confDirOf(invocation.env);
  const network = networksIn(invocation).find((candidate) => candidate.name === name);
  if (network !== undefined) return placesOf(network, dataDir);
  const place = { dataDir: dataDir ?? DEFAULT_DATA_DIR, network: name };
  if (hasLeases(place)) return [place];
  throw new CniError(code.invalidConfig, `nothing is known of network ${quoteShort(name)}`, {
    details: `no configuration in ${folder} has that name, and ${place.dataDir} has no leases of it; NETCONFPATH and --data-dir name other folders`,
  });
}

/** Of every network that has a configuration; one that makes no sense is told of and passed over. */
export function allPlaces(invocation: Invocation): Place[] {
  const { warn } = invocation.runtime.host;
  return networksIn(invocation).flatMap((network) => {
    try {
      return placesOf(network, dataDirOf(invocation));
    } catch (error) {
      warn(`passing over network ${network.name}: ${messageOf(error)}`);
      return [];
    }
  });
}

/** Whoever looks for leases wants them also when the configuration cannot be read any more. */
function networksIn({ env, runtime }: Invocation): Network[] {
  const { warn } = runtime.host;
  try {
    return listNetworks(confDirOf(env), warn);
  } catch (error) {
    warn(`going on without configurations: ${messageOf(error)}`);
    return [];
  }
}

function hasLeases(place: Place): boolean {
  const { leases, drafts } = storeAt(place, () => {});
  return existsSync(leases) || existsSync(drafts);
}
