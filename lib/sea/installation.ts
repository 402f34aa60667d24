/**
 * A node's plugin folder under change: install, go back, uninstall, while runtimes execute what is in it. Each name goes
 * from one whole executable to another by one rename(2); a kill at any moment leaves some of them changed and all of them
 * working, and the next try finishes. What the names were before is kept as hard links, whoever made it.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from '../linux/lock.ts';
import { executableNames, libraryFolder, lockFile, previousFolder } from './names.ts';
import {
  type Placement,
  placeLibraries,
  placeNames,
  replaceByLink,
  stageExecutable,
  syncFolder,
  withStaging,
} from './place.ts';
import { readBuildId } from './trailer.ts';

/** Puts our executables into `folder` and keeps what had their names. Throws where a folder has one of them. */
export async function install(placement: Placement, folder: string): Promise<void> {
  const buildId = readBuildId(placement.executable);
  if (buildId === undefined) throw new Error(`cannot install "${placement.executable}": it is no executable of ours`);
  mkdirSync(folder, { recursive: true });
  const inTheWay = executableNames.find((name) => lstatOf(join(folder, name))?.isDirectory());
  if (inTheWay !== undefined) throw new Error(`cannot install over "${join(folder, inTheWay)}": it is a folder`);
  await exclusively(folder, (staging) => {
    placeLibraries(placement, folder, staging);
    const executable = stageExecutable(placement.executable, staging);
    keepPrevious(folder, staging, buildId);
    placeNames(executable, folder, staging);
  });
}

/**
 * Puts back what the names were before the last installation, and removes nothing: where nothing had a name, ours stays.
 * As often as wanted: it does not go back and forth. Returns the names that came back. Throws where nothing is kept.
 */
export async function rollback(folder: string): Promise<string[]> {
  const kept = join(folder, previousFolder);
  const names = executableNames.filter((name) => lstatOf(join(kept, name)) !== undefined);
  if (names.length === 0) throw new Error(`cannot go back: nothing is kept in "${kept}"`);
  await exclusively(folder, (staging) => {
    for (const name of names) replaceByLink(join(kept, name), join(folder, name), staging);
    syncFolder(folder);
  });
  return names;
}

/** Removes what is ours, and nothing else. Returns the names of others' executables that stay kept for rollback(). */
export async function uninstall(folder: string): Promise<string[]> {
  if (!existsSync(folder)) return [];
  const kept = join(folder, previousFolder);
  await exclusively(folder, () => {
    for (const name of executableNames) {
      removeOurs(join(folder, name));
      removeOurs(join(kept, name));
      if (isSameFile(join(kept, name), join(folder, name))) rmSync(join(kept, name));
    }
    rmSync(join(folder, libraryFolder), { recursive: true, force: true });
    removeIfEmpty(kept);
    syncFolder(folder);
  });
  return existsSync(kept) ? readdirSync(kept) : [];
}

/** Longer than an installation takes on a slow disk. */
const LOCK_DEADLINE_MS = 120_000;

async function exclusively(folder: string, action: (staging: string) => void): Promise<void> {
  const path = join(folder, lockFile);
  const options = { mode: 0o600, deadlineMs: LOCK_DEADLINE_MS, checkpoint: async () => {} };
  await withLock(path, options, async () => {
    withStaging(folder, action);
    rmSync(path, { force: true });
  });
}

/**
 * What the names are becomes what they were. One that is of the new build already was changed by a try that did not end,
 * or by an earlier installation of the same: what it was before that stays.
 */
function keepPrevious(folder: string, staging: string, newBuildId: string): void {
  const kept = join(folder, previousFolder);
  mkdirSync(kept, { recursive: true });
  for (const name of executableNames) {
    const current = join(folder, name);
    if (readBuildId(current) === newBuildId) continue;
    if (lstatOf(current) === undefined) rmSync(join(kept, name), { force: true });
    else replaceByLink(current, join(kept, name), staging);
  }
  syncFolder(kept);
  removeIfEmpty(kept);
}

function removeIfEmpty(folder: string): void {
  if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
}

function removeOurs(path: string): void {
  if (readBuildId(path) !== undefined) rmSync(path);
}

function isSameFile(one: string, other: string): boolean {
  const [first, second] = [lstatOf(one), lstatOf(other)];
  return first !== undefined && first.ino === second?.ino && first.dev === second.dev;
}

function lstatOf(path: string) {
  return lstatSync(path, { throwIfNoEntry: false });
}
