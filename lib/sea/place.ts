/** Puts the executable, its names and its libraries into a folder that may be in use: nothing is ever half there. */

import {
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Library } from './libraries.ts';
import { executableNames, libraryFolder, namesOfOwnFile } from './names.ts';

export interface Placement {
  readonly executable: string;
  /** Also other files that belong beside the libraries. */
  readonly libraries: readonly Library[];
}

/** Libraries first: an executable that is there must be able to start. */
export function place({ executable, libraries }: Placement, folder: string): void {
  mkdirSync(join(folder, libraryFolder), { recursive: true });
  for (const { name, path } of libraries) placeFile(path, join(folder, libraryFolder, name), 0o644);
  syncFolder(join(folder, libraryFolder));
  placeNames(executable, folder);
  syncFolder(folder);
}

function placeNames(executable: string, folder: string): void {
  const [first, ...others] = executableNames;
  const firstPath = join(folder, first);
  placeFile(executable, firstPath, 0o755);
  for (const name of others) {
    if (namesOfOwnFile.includes(name)) {
      placeFile(executable, join(folder, name), 0o755);
      continue;
    }
    const draft = draftOf(join(folder, name));
    rmSync(draft, { force: true });
    linkSync(firstPath, draft);
    renameSync(draft, join(folder, name));
  }
}

/** A new inode each time: a running executable cannot be written to, only replaced. */
function placeFile(source: string, target: string, mode: number): void {
  const draft = draftOf(target);
  try {
    // Where the file system can, blocks are shared until one of the two is changed.
    copyFileSync(source, draft, constants.COPYFILE_FICLONE);
    chmodSync(draft, mode);
    sync(draft);
    renameSync(draft, target);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** In the target's folder, since rename(2) does not cross file systems. */
function draftOf(target: string): string {
  return `${target}.nodecni-${process.pid}`;
}

function sync(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

const syncFolder = sync;
