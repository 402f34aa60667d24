/** Puts the executable, its names and its libraries into a folder that may be in use: nothing is ever half there. */

import {
  chmodSync,
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { executableNames, libraryFolder, namesOfOwnFile, stagingFolder } from './names.ts';

export interface Placement {
  readonly executable: string;
  /** Folders of libraries by their ids: each appears whole, and never changes afterwards. */
  readonly libraries: readonly LibrarySet[];
  /** Other files that belong beside them. */
  readonly notices: readonly string[];
}

export interface LibrarySet {
  readonly id: string;
  readonly files: readonly { readonly name: string; readonly path: string }[];
}

/** For a folder that nobody else changes. */
export function place(placement: Placement, folder: string): void {
  withStaging(folder, (staging) => {
    placeLibraries(placement, folder, staging);
    placeNames(stageExecutable(placement.executable, staging), folder, staging);
  });
}

/** Runs `action` with an empty folder for drafts: below `folder`, since rename(2) does not cross file systems. */
export function withStaging<T>(folder: string, action: (staging: string) => T): T {
  const staging = join(folder, stagingFolder);
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  try {
    return action(staging);
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
}

/** Before any executable that wants them: one that is there must be able to start. */
export function placeLibraries({ libraries, notices }: Placement, folder: string, staging: string): void {
  const target = join(folder, libraryFolder);
  mkdirSync(target, { recursive: true });
  chmodSync(target, 0o755);
  for (const set of libraries) {
    if (!existsSync(join(target, set.id))) placeSet(set, target, staging);
  }
  for (const path of notices) {
    const draft = join(staging, basename(path));
    copyDurably(path, draft, 0o644);
    renameSync(draft, join(target, basename(path)));
  }
  syncFolder(target);
}

function placeSet({ id, files }: LibrarySet, target: string, staging: string): void {
  const draft = join(staging, id);
  mkdirSync(draft);
  chmodSync(draft, 0o755);
  for (const { name, path } of files) copyDurably(path, join(draft, name), 0o644);
  syncFolder(draft);
  renameSync(draft, join(target, id));
}

/** A new inode each time: a running executable cannot be written to, only replaced. */
export function stageExecutable(source: string, staging: string, name = 'executable'): string {
  const draft = join(staging, name);
  copyDurably(source, draft, 0o755);
  return draft;
}

export function placeNames(executable: string, folder: string, staging: string): void {
  for (const name of executableNames) {
    const source = namesOfOwnFile.includes(name) ? stageExecutable(executable, staging, name) : executable;
    replaceByLink(source, join(folder, name), staging);
  }
  syncFolder(folder);
}

/** From one moment to the next, `target` is another name of `source`. */
export function replaceByLink(source: string, target: string, staging: string): void {
  const draft = join(staging, `${basename(target)}.link`);
  linkSync(source, draft);
  renameSync(draft, target);
  // rename(2) does nothing, and leaves this, where both already were one file.
  rmSync(draft, { force: true });
}

/**
 * The kernel keeps in one piece in memory what came in one write(2), if the file system can, and maps it with fewer page
 * faults: an executable written so starts a tenth faster, until its pages leave memory.
 */
const PIECE_BYTES = 1 << 20;

function copyDurably(source: string, target: string, mode: number): void {
  const contents = readFileSync(source);
  const fd = openSync(target, 'w', mode);
  try {
    for (let at = 0; at < contents.length; at += PIECE_BYTES) {
      writeFileSync(fd, contents.subarray(at, at + PIECE_BYTES));
    }
    fchmodSync(fd, mode);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function sync(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

export const syncFolder = sync;
