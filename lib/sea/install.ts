/** `make install`, `make rollback`, `make uninstall`: what dist/ holds, into, within or out of a node's plugin folder. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fail, say } from './command.ts';
import { install, rollback, uninstall } from './installation.ts';
import { executableNames, libraryFolder, previousFolder } from './names.ts';
import type { LibrarySet } from './place.ts';

await main(process.argv.slice(2)).catch(fail);

async function main([verb, folder = '']: readonly string[]): Promise<void> {
  if (!folder.startsWith('/')) throw new Error(`cannot ${verb} in "${folder}": not an absolute path`);
  switch (verb) {
    case 'install':
      await install(
        { executable: 'dist/bin/bridge', libraries: builtLibraries(), notices: ['dist/THIRD-PARTY-NOTICES'] },
        folder,
      );
      return say(
        `install: ${executableNames.join(', ')} are in ${folder}, other plugins there are untouched; what had these names ` +
          `is kept in ${previousFolder}: make rollback brings it back`,
      );
    case 'rollback':
      return say(`rollback: ${(await rollback(folder)).join(', ')} in ${folder} are what they were before`);
    case 'uninstall':
      return say(sayKept(folder, await uninstall(folder)));
    default:
      throw new Error(`cannot ${verb}: known are install, rollback, uninstall`);
  }
}

function builtLibraries(): LibrarySet[] {
  const root = join('dist/bin', libraryFolder);
  return readdirSync(root).map((id) => ({
    id,
    files: readdirSync(join(root, id)).map((name) => ({ name, path: join(root, id, name) })),
  }));
}

function sayKept(folder: string, kept: readonly string[]): string {
  const done = `uninstall: nothing of ours is left in ${folder}`;
  if (kept.length === 0) return done;
  return `${done}; ${kept.join(', ')} from before are kept in ${previousFolder}: make rollback brings them back`;
}
