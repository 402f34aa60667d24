/** A node's plugin folder with the reference plugins in it, and what `make install` and the like do to it. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { reference, repository } from './plugins.ts';
import { type Command, must, type Started, start } from './process.ts';
import type { World } from './world.ts';

export const PLUGINS = ['bridge', 'host-local', 'portmap', 'loopback'] as const;

export function nodeFolder(world: World): string {
  const folder = `${world.folder}/opt-cni-bin`;
  mkdirSync(folder);
  for (const name of PLUGINS) copyFileSync(`${reference}/${name}`, `${folder}/${name}`);
  return folder;
}

export type Change = 'install' | 'rollback' | 'uninstall';

/** Installs what is in dist/. */
export function change(verb: Change, folder: string): Promise<string> {
  return must(command(verb, folder));
}

export function startChange(verb: Change, folder: string): Started {
  return start(command(verb, folder));
}

function command(verb: Change, folder: string): Command {
  const node = process.execPath;
  return ['/usr/bin/env', '-C', repository, node, '--no-warnings', 'lib/sea/install.ts', verb, folder];
}
