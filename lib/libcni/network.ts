/** A network as a runtime knows it: the list of plugins of one configuration file (SPEC.md "Section 1"; libcni's rules). */
import * as z from 'zod/mini';
import { CniError, code } from '../cni/errors.ts';
import { decode, encodeCompact, isObject, type JsonObject } from '../cni/json.ts';
import { atLeast, DEFAULT_VERSION, NEWEST } from '../cni/version.ts';
import { sortKeys } from './sort-keys.ts';

export interface PluginConf {
  /** File name in CNI_PATH. */
  readonly type: string;
  /** The plugin object's own name, '' when it has none; only error messages show it. */
  readonly name: string;
  /** What the plugin may be given in `runtimeConfig`. */
  readonly capabilities: readonly string[];
  /** All keys as they came. */
  readonly raw: JsonObject;
}

export interface Network {
  readonly name: string;
  /** '' when the configuration has none (it then means 0.1.0). */
  readonly cniVersion: string;
  readonly disableCheck: boolean;
  readonly disableGc: boolean;
  /** True when plugins in the folder beside the file, named after the network, do not count. */
  readonly loadOnlyInlinedPlugins: boolean;
  readonly plugins: readonly PluginConf[];
  /** The configuration's own text: the result cache keeps it. */
  readonly text: string;
}

/** libcni takes these from text, too. */
const flag = z._default(
  z.union([z.boolean(), z.pipe(z.string().check(z.regex(/^(true|false)$/i)), z.transform(isTrue))]),
  false,
);

const networkSchema = z.object({
  name: z.string(),
  cniVersion: z._default(z.string(), ''),
  cniVersions: z._default(z.array(z.string()), []),
  disableCheck: flag,
  disableGC: flag,
  loadOnlyInlinedPlugins: flag,
  plugins: z.optional(z.array(z.unknown()).check(z.minLength(1, 'holds no plugin'))),
});

const pluginSchema = z.object({
  type: z.string().check(z.minLength(1, 'names no plugin')),
  name: z._default(z.string(), ''),
  cniVersion: z._default(z.string(), ''),
  capabilities: z._default(z.record(z.string(), z.boolean()), {}),
});

/** The network in `text`, a `.conflist` file's. Throws code 6 or 7. */
export function parseNetwork(text: string): Network {
  const conf = decode(networkSchema, parseObject(text), 'network configuration');
  if (conf.plugins === undefined && conf.loadOnlyInlinedPlugins) {
    throw new CniError(code.invalidConfig, 'invalid network configuration: it has no "plugins"', {
      details: '"loadOnlyInlinedPlugins" is true, so no other file can add any',
    });
  }
  return {
    name: conf.name,
    cniVersion: newestUsable(conf.cniVersion, conf.cniVersions),
    disableCheck: conf.disableCheck,
    disableGc: conf.disableGC,
    loadOnlyInlinedPlugins: conf.loadOnlyInlinedPlugins,
    plugins: (conf.plugins ?? []).map((plugin, index) => makePlugin(plugin, `plugins[${index}]`)),
    text,
  };
}

/** The plugin in `text`, a `.conf` file's. Throws code 6 or 7. */
export function parsePlugin(text: string): PluginConf {
  return makePlugin(parseObject(text), 'plugin configuration');
}

/** The network that a single plugin's old-style file means; its text is the list that libcni would write for it. */
export function networkOfPlugin(plugin: PluginConf): Network {
  const { cniVersion } = decode(pluginSchema, plugin.raw, 'plugin configuration');
  return parseNetwork(encodeCompact(sortKeys({ name: plugin.name, cniVersion, plugins: [plugin.raw] })));
}

function makePlugin(raw: unknown, what: string): PluginConf {
  const { type, name, capabilities } = decode(pluginSchema, raw, what);
  const wanted = Object.keys(capabilities).filter((key) => capabilities[key] === true);
  return { type, name, capabilities: wanted, raw: raw as JsonObject };
}

/** The newest of `versions` that we speak; with nothing to choose from, what the file says, for the plugins to judge. */
function newestUsable(cniVersion: string, versions: readonly string[]): string {
  if (versions.length === 0) return cniVersion;
  const usable = [...versions, cniVersion].filter((version) => version !== '' && atLeast(NEWEST, version));
  return usable.reduce(
    (best, next) => (atLeast(best === '' ? DEFAULT_VERSION : best, next) ? best : next),
    usable[0] ?? cniVersion,
  );
}

function parseObject(text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CniError(code.decodingFailure, `it is no JSON: ${(error as SyntaxError).message}`, { cause: error });
  }
  if (isObject(value)) return value;
  throw new CniError(code.decodingFailure, 'it is no JSON object');
}

function isTrue(text: string): boolean {
  return text.toLowerCase() === 'true';
}
