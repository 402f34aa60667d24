/** Finding a network by its name in a folder of configuration files, in libcni's order: what it would load, we load. */
import { readdirSync, readFileSync } from 'node:fs';
import { CniError, code, hasErrno, messageOf } from '../cni/errors.ts';
import { quoteShort, requireNetworkName } from '../cni/names.ts';
import { ioError } from '../linux/io-error.ts';
import { type Network, networkOfPlugin, type PluginConf, parseNetwork, parsePlugin } from './network.ts';

/**
 * The network called `name`. `.conflist` files come before `.conf` and `.json` ones, each kind in the order of the
 * file names, and the first that matches wins. As with libcni, a damaged file before the match ends the search:
 * a runtime would trip over it too. Throws the error with the file's path in it.
 */
export function loadNetwork(folder: string, name: string): Network {
  requireNetworkName(name);
  const lists = filesIn(folder, ['.conflist']);
  for (const path of lists) {
    const network = load(path, parseNetwork);
    if (network.name === name) return withPluginFiles(network, { path, folder });
  }
  const singles = filesIn(folder, ['.conf', '.json']);
  for (const path of singles) {
    const plugin = load(path, parsePlugin);
    if (plugin.name === name) return withPluginFiles(networkOfPlugin(plugin), { path, folder });
  }
  throw notFound(folder, name, lists.length + singles.length);
}

/**
 * Every network in `folder`, the file that loadNetwork() would take for each name. For whoever only wants to look: what
 * cannot be loaded is told to `warn` and hides no other. Throws code 5 when the folder cannot be listed.
 */
export function listNetworks(folder: string, warn: (message: string) => void): Network[] {
  const lists = filesIn(folder, ['.conflist']).map((path) => ({ path, parse: parseNetwork }));
  const singles = filesIn(folder, ['.conf', '.json']).map((path) => ({ path, parse: parseSingle }));
  const found = new Map<string, Network>();
  for (const { path, parse } of [...lists, ...singles]) {
    try {
      const network = load(path, parse);
      requireNetworkName(network.name);
      if (!found.has(network.name)) found.set(network.name, withPluginFiles(network, { path, folder }));
    } catch (error) {
      warn(`passing over ${path}: ${messageOf(error)}`);
    }
  }
  return [...found.values()];
}

function parseSingle(text: string): Network {
  return networkOfPlugin(parsePlugin(text));
}

/** Adds the plugins of `<folder>/<network>/*.conf`. Only now: the name was checked before it became a path. */
function withPluginFiles(network: Network, { path, folder }: { path: string; folder: string }): Network {
  const files = network.loadOnlyInlinedPlugins ? [] : filesIn(`${folder}/${network.name}`, ['.conf']);
  const more: readonly PluginConf[] = files.map((file) => load(file, parsePlugin));
  const plugins = [...network.plugins, ...more];
  if (plugins.length > 0) return { ...network, plugins };
  throw new CniError(code.invalidConfig, `cannot load "${path}": no plugin configs found`, {
    details: `give the network "plugins" or put plugin files (*.conf) into ${folder}/${network.name}`,
  });
}

/** Paths of the files in `folder` with one of the `endings`, sorted; none when there is no such folder. */
function filesIn(folder: string, endings: readonly string[]): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && endings.includes(entry.name.slice(entry.name.lastIndexOf('.'))))
      .map((entry) => `${folder}/${entry.name}`)
      .sort();
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw ioError('list', folder, error);
  }
}

function load<T>(path: string, parse: (text: string) => T): T {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw ioError('read', path, error);
  }
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    const details = error.details === '' ? 'correct the file or move it away' : error.details;
    throw new CniError(error.code, `cannot load "${path}": ${error.message}`, { details, cause: error });
  }
}

function notFound(folder: string, name: string, files: number): CniError {
  const message =
    files === 0
      ? `no net configurations found in ${folder}`
      : `no net configuration with name ${quoteShort(name)} in ${folder}`;
  const hint =
    files === 0
      ? 'copy a configuration there, such as one of conflist/ of nodecni'
      : 'the name is the "name" inside the file, not the file\'s';
  return new CniError(code.invalidConfig, message, { details: `${hint}; NETCONFPATH names another folder` });
}
