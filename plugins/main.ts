/**
 * The entry of the executable: the name it is called by picks the job. Built into a startup snapshot, so everything
 * at module level has run on the build machine and must keep nothing of it (design: README.md "How a call flows").
 */
import { basename } from 'node:path';
import { startupSnapshot } from 'node:v8';
import { hostLocal } from '../ipam/host-local/host-local.ts';
import type { Plugin } from '../lib/cni/plugin.ts';
import { refuseName, runAsPlugin } from '../lib/cni/process.ts';
import { bridge } from './bridge/bridge.ts';
import { runCnictl } from './cnictl/cnictl.ts';
import { flannel } from './flannel/flannel.ts';
import { loopback } from './loopback/loopback.ts';
import { portmap } from './portmap/portmap.ts';
import { rehearse } from './rehearsal/rehearse.ts';

const plugins: ReadonlyMap<string, Plugin> = new Map(
  [bridge, hostLocal, portmap, loopback, flannel].map((plugin) => [plugin.name, plugin]),
);

async function main(): Promise<void> {
  // The name it was called by, also through a symlink; runtimes that rewrite it leave the file's own name.
  const names = [basename(process.argv0), basename(process.execPath)];
  const name = names.find((known) => known === 'cnictl' || plugins.has(known)) ?? '';
  leaveDeletedFolder();
  if (name === 'cnictl') return runCnictl(process.argv.slice(2));
  const plugin = plugins.get(name);
  if (plugin === undefined) refuseName(basename(process.argv0), [...plugins.keys(), 'cnictl']);
  await runAsPlugin(plugin, plugins);
}

/** In a working directory that somebody deleted Node starts no child: it asks for the directory's path first. */
function leaveDeletedFolder(): void {
  try {
    process.cwd();
  } catch {
    process.chdir('/');
  }
}

if (startupSnapshot.isBuildingSnapshot()) void rehearse(main);
