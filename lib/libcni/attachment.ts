/** One attachment as the runtime describes it, and what a plugin gets to read of it on stdin. */
import { CniError, code } from '../cni/errors.ts';
import { encodeCompact, type JsonObject } from '../cni/json.ts';
import { requireContainerId, requireIfname, requireNetworkName } from '../cni/names.ts';
import type { Network, PluginConf } from './network.ts';
import { sortKeys } from './sort-keys.ts';

/** CNI_ARGS in order: `[["IgnoreUnknown", "1"], …]`. */
export type CniArgs = readonly (readonly [key: string, value: string])[];

export interface Attachment {
  readonly containerId: string;
  /** Absolute path of the container's network namespace; '' when DEL has to do without. */
  readonly netns: string;
  readonly ifname: string;
  /** Absent: none for ADD, those of the ADD (from the result cache) for CHECK and DEL. */
  readonly args?: CniArgs;
  /** Values by capability, as `{"portMappings": […]}`. Absent: as for `args`. */
  readonly capabilityArgs?: JsonObject;
}

/** Throws code 4 or 7 unless every name can be part of a path, and all of them together a file's name. */
export function requireAttachment(network: Network, { containerId, ifname }: Attachment): void {
  requireContainerId(containerId);
  requireNetworkName(network.name);
  requireIfname(ifname);
  const bytes = Buffer.byteLength(cacheFileName(network.name, { containerId, ifname }));
  if (bytes <= MAX_FILE_NAME_BYTES) return;
  throw new CniError(code.invalidEnvironment, `container ID and network name are too long together: ${bytes} bytes`, {
    details: `the result cache needs them in one file name of at most ${MAX_FILE_NAME_BYTES} bytes`,
  });
}

const MAX_FILE_NAME_BYTES = 255;

/** The name of the result cache's file: libcni's. */
export function cacheFileName(
  network: string,
  { containerId, ifname }: Pick<Attachment, 'containerId' | 'ifname'>,
): string {
  return `${network}-${containerId}-${ifname}`;
}

export interface StdinExtras {
  /** In the shape of the network's version. */
  readonly prevResult?: JsonObject | undefined;
  readonly capabilityArgs?: JsonObject | undefined;
}

/** The configuration that `plugin` reads: its own keys, the network's name and version, and what is meant for it. */
export function buildStdin(network: Network, plugin: PluginConf, extras: StdinExtras = {}): string {
  const { prevResult, capabilityArgs = {} } = extras;
  const wanted = Object.entries(capabilityArgs).filter(([key]) => plugin.capabilities.includes(key));
  const conf = {
    ...plugin.raw,
    name: network.name,
    cniVersion: network.cniVersion,
    ...(prevResult === undefined ? {} : { prevResult }),
    ...(wanted.length === 0 ? {} : { runtimeConfig: Object.fromEntries(wanted) }),
  };
  return encodeCompact(sortKeys(conf));
}
