/** The configuration of flannel, in the original's keys; README.md has them as a table. */
import * as z from 'zod/mini';
import { absolutePath } from '../../lib/attachment/store.ts';
import { parseRoutes, plainRoute } from '../../lib/cni/convert.ts';
import { CniError, code } from '../../lib/cni/errors.ts';
import { decode, type JsonObject } from '../../lib/cni/json.ts';
import type { Call } from '../../lib/cni/plugin.ts';

const DEFAULT_TYPE = 'bridge';
const DEFAULT_SUBNET_FILE = '/run/flannel/subnet.env';
const DEFAULT_DATA_DIR = '/var/lib/cni/flannel';

const anyKeys = z.record(z.string(), z.unknown());

export const flannelSchema = z.object({
  subnetFile: z._default(absolutePath, DEFAULT_SUBNET_FILE),
  dataDir: z._default(absolutePath, DEFAULT_DATA_DIR),
  subnetFileWaitMs: z._default(z.int().check(z.minimum(0), z.maximum(600_000)), 0),
  delegate: z._default(anyKeys, {}),
  ipam: z._default(anyKeys, {}),
  capabilities: z._default(z.record(z.string(), z.boolean()), {}),
  runtimeConfig: z.optional(anyKeys),
});

export interface FlannelConfig {
  /** Absolute path. */
  readonly subnetFile: string;
  /** Where the state files are; absolute path. */
  readonly dataDir: string;
  /** How long ADD waits for the subnet file. */
  readonly waitMs: number;
  /** The delegate's plugin type. */
  readonly type: string;
  /** The user's part of the delegate's configuration. */
  readonly delegate: JsonObject;
  /** The user's part of its `ipam`, without `routes`. */
  readonly ipam: JsonObject;
  readonly routes: readonly JsonObject[];
  readonly runtimeConfig: JsonObject | undefined;
  /** Host ports are the delegate's to forward, where that is bridge. */
  readonly takesPorts: boolean;
}

/** Throws code 7. */
export function parseConfig(call: Call): FlannelConfig {
  const keys = decode(flannelSchema, call.config.raw, 'flannel configuration');
  const type = keys.delegate.type ?? DEFAULT_TYPE;
  if (call.verb !== 'DEL') requireOurKeysFree(keys.delegate);
  if (typeof type !== 'string')
    throw invalid(
      "'delegate' dictionary, if present, must have (string) 'type' field",
      'it names a plugin, such as "bridge"',
    );
  if (type === 'flannel')
    throw invalid(
      'invalid "delegate.type": flannel cannot delegate to itself',
      'use an interface plugin, such as "bridge"',
    );
  const { routes, ...ipam } = keys.ipam;
  return {
    subnetFile: keys.subnetFile || DEFAULT_SUBNET_FILE,
    dataDir: keys.dataDir || DEFAULT_DATA_DIR,
    waitMs: keys.subnetFileWaitMs,
    type,
    delegate: keys.delegate,
    ipam,
    // DEL needs none, and must not fail over one.
    routes: call.verb === 'DEL' ? [] : parseRoutes(routes ?? [], '"ipam.routes"').map(plainRoute),
    runtimeConfig: keys.runtimeConfig,
    takesPorts: keys.capabilities.portMappings === true,
  };
}

function requireOurKeysFree(delegate: JsonObject): void {
  for (const key of ['name', 'ipam']) {
    if (!Object.hasOwn(delegate, key)) continue;
    throw invalid(
      `'delegate' dictionary must not have '${key}' field, it'll be set by flannel`,
      key === 'ipam' ? 'put it beside "delegate": flannel adds the node\'s subnet to it' : 'remove it',
    );
  }
}

function invalid(message: string, details: string): CniError {
  return new CniError(code.invalidConfig, message, { details });
}
