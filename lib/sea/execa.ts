/**
 * The part of execa that goes into the executable: its synchronous half, without what no call of ours reaches. Whatever
 * a bundle holds is on the heap of the snapshot and copied at every start; all of execa was a seventh of that heap.
 */

import { readFileSync } from 'node:fs';
import type { Plugin } from 'esbuild';

/** Makes another text of a module's. Throws when the text is not the one that it was written for. */
type Change = (text: string) => string;

const changes: Readonly<Record<string, Change>> = {
  // Options bound to functions, templates, scripts, messages between processes: all that leads to the other half.
  'execa/index.js': () => "export { execaCoreSync as execaSync } from './lib/methods/main-sync.js';",
  'execa/lib/utils/standard-stream.js': withoutOwnStreams,
  'execa/lib/stdio/direction.js': withoutOwnStreams,
  // For a standard stream of ours among several that a child is given.
  'execa/lib/stdio/native.js': (text) => replace(text, "import tty from 'node:tty';", 'const tty = {};'),
  // For execa's own message about a signal, which is in no error of ours.
  'human-signals/build/src/main.js': () =>
    "export const signalsByName = new Proxy({}, { get: () => ({ description: 'signal' }) });",
  'execa/lib/verbose/log.js': without('verboseLog', 'serializeVerboseMessage'),
  'pretty-ms/index.js': without('default'),
  // Windows only.
  'which-command/index.js': without('whichCommandSync'),
  // Of the option `preferLocal`.
  'npm-run-path/index.js': without('npmRunPathEnv'),
};

/** A build that has more of execa than it has to, or less, fails: it is laid out otherwise than known here. */
export const synchronousExeca: Plugin = {
  name: 'synchronous execa',
  setup({ onStart, onLoad, onEnd }) {
    const met = new Set<string>();
    onStart(() => met.clear());
    onLoad({ filter: /\/node_modules\/.*\.js$/ }, ({ path }) => {
      const name = path.slice(path.lastIndexOf('/node_modules/') + '/node_modules/'.length);
      met.add(name);
      return { contents: requireBuiltins((changes[name] ?? unchanged)(readFileSync(path, 'utf8'))) };
    });
    onEnd(() => {
      const missing = met.has('execa/index.js') ? Object.keys(changes).filter((name) => !met.has(name)) : [];
      return {
        errors: missing.map((name) => ({ text: `cannot change ${name} in the bundle: execa does not use it` })),
      };
    });
  },
};

function unchanged(text: string): string {
  return text;
}

/** A default import of a module of the runtime is bundled as an object with a getter for each of its exports. */
function requireBuiltins(text: string): string {
  return text.replaceAll(/^import (\w+) from '(node:\w+)';$/gm, "const $1 = require('$2');");
}

/** As streams, this process's stdin, stdout and stderr take nine modules of the runtime, and no child is given one. */
function withoutOwnStreams(text: string): string {
  return replace(text, /process\.std(?:in|out|err)\b/g, '{}');
}

function replace(text: string, old: string | RegExp, replacement: string): string {
  const changed = text.replaceAll(old, replacement);
  if (changed === text) throw new Error(`cannot find ${old} to replace it`);
  return changed;
}

/** A module with nothing but `names`, which nobody calls. The bundler fails when another name is asked of it. */
function without(...names: readonly string[]): Change {
  const absent = "const absent = () => { throw new Error('this part of execa is not in the executable'); };";
  return () => [absent, ...names.map((name) => `export { absent as ${name} };`)].join('\n');
}
