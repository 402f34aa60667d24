/** The single executable application: pinned runtime + startup snapshot of the bundle + trailer. */

import {
  appendFileSync,
  chmodSync,
  copyFileSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Arch } from './arch.ts';
import { pruneCodeCache } from './code-cache.ts';
import { run } from './command.ts';
import { ignoreDeadlocks } from './deadlock-check.ts';
import { makeDeaf } from './deaf.ts';
import { changeSnapshot } from './resource.ts';
import { ignorePositionRequest } from './source-positions.ts';
import { trailerOf } from './trailer.ts';

/**
 * V8 rehashes a snapshot and picks a random seed at each start to spoil hash floods; a plugin that reads one JSON from
 * its root parent needs neither. Built and run with the same flags, or V8 throws the embedded code cache away.
 */
const snapshotFlags = ['--no-rehash-snapshot', '--hash-seed=20261123'] as const;

/**
 * A plugin lives too short for what other threads prepare for later: baseline code for functions that ran in the snapshot
 * (some 5 % of a start), and three of the four threads of V8's pool (another 2 %; 0 would be as many as there are
 * processors).
 */
const shortLifeFlags = ['--no-sparkplug', '--v8-pool-size=1'] as const;

/** Texts of numbers that V8 keeps for later: it makes room for 8,192 and 4,096 as soon as it needs some, in the build. */
const cacheFlags = ['--smi-string-cache-size=1024', '--double-string-cache-size=1024'] as const;

/**
 * A faulty openssl.cnf of the host, or OPENSSL_CONF, would end each plugin before its first line. SIGUSR1 would open a
 * debugger's port, for which a thread waits.
 */
export const runtimeFlags = [
  ...snapshotFlags,
  ...shortLifeFlags,
  ...cacheFlags,
  '--no-warnings',
  '--disable-sigusr1',
  '--openssl-config=/dev/null',
] as const;

/** Lets the rehearsal get at the runtime's own modules (plugins/rehearsal/internals.ts). */
const buildFlags = [...runtimeFlags, '--expose-internals'] as const;

/** sea.json. Paths are relative, since the snapshot keeps the name of its main script. */
export const seaConfig = {
  main: 'main.cjs',
  mainFormat: 'commonjs',
  output: 'nodecni',
  executable: 'node',
  disableExperimentalSEAWarning: true,
  useSnapshot: true,
  useCodeCache: false,
  execArgv: runtimeFlags,
  // Nothing in the environment of whoever calls a plugin may change the runtime.
  execArgvExtension: 'none',
} as const;

/** Internal modules that are loaded at run time, by node:ffi: the only ones whose compiled code is worth carrying. */
const loadedAtRunTime = new Set(['ffi', 'internal/ffi-shared-buffer', 'internal/ffi/fast-api', 'internal/ffi/vfs']);

export interface ExecutableInput {
  readonly arch: Arch;
  readonly code: string;
  readonly buildId: string;
  readonly runtime: string;
  readonly runPath: string;
}

/** Builds the executable in a folder of its own and hands its path to `use` before that folder goes. */
export function withExecutable(input: ExecutableInput, use: (path: string) => void): void {
  // Not below the repository: the snapshot would keep the machine's path.
  const folder = mkdtempSync('/tmp/nodecni-');
  try {
    use(buildIn(folder, input));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function buildIn(folder: string, { arch, code, buildId, runtime, runPath }: ExecutableInput): string {
  const node = join(folder, seaConfig.executable);
  const output = join(folder, seaConfig.output);
  copyFileSync(runtime, node);
  change(node, (image) => {
    ignoreDeadlocks(image);
    ignorePositionRequest(image, arch.returnCode);
  });
  run('strip', [node]);
  writeFileSync(join(folder, seaConfig.main), code);
  writeFileSync(join(folder, 'sea.json'), JSON.stringify(seaConfig));
  // An empty environment: whatever the snapshot saw would be in every plugin call.
  run(node, [...buildFlags, '--build-sea', 'sea.json'], { cwd: folder, env: {} });
  change(output, prune);
  change(output, makeDeaf);
  // After --build-sea: it breaks the string table of a file that patchelf has moved. RPATH rather than RUNPATH, since
  // only RPATH also holds for what our library copies need themselves and comes before LD_LIBRARY_PATH.
  run('patchelf', ['--force-rpath', '--set-rpath', runPath, output]);
  appendFileSync(output, trailerOf(buildId), 'latin1');
  chmodSync(output, 0o755);
  prove(folder, output);
  return output;
}

function change(path: string, edit: (image: Buffer) => void): void {
  const image = readFileSync(path);
  edit(image);
  writeFileSync(path, image);
}

function prune(image: Buffer): void {
  changeSnapshot(image, (snapshot) => pruneCodeCache(snapshot, loadedAtRunTime));
}

/** A file that strip, --build-sea and patchelf made together is not believed until it answered once. */
function prove(folder: string, output: string): void {
  const plugin = join(folder, 'loopback');
  linkSync(output, plugin);
  const answer = run(plugin, [], { env: { CNI_COMMAND: 'VERSION' }, input: '{"cniVersion":"1.0.0"}' });
  if (!answer.includes('supportedVersions')) throw new Error(`the new executable answers VERSION with "${answer}"`);
}
