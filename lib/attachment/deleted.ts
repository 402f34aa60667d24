/**
 * The attachments that this host deleted last: runtimes send DEL about twice, and the second one need not look through
 * the rules again. Only a hint, in /run: the reference does not know it and may have added the container again since, so
 * it counts where nothing else is known of the attachment.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { sha256Hex } from '../hash.ts';
import { readSmallFile } from '../linux/small-file.ts';
import { RUN_FOLDER } from './run-folder.ts';
import type { Owner, Store } from './store.ts';

/** More than a node's pods: when it shuts down, all are deleted before the second round begins. */
const MOST = 512;
const KEY_LENGTH = 32;

export function wasDeleted(store: Store, owner: Owner): boolean {
  return readKeys(store).includes(keyOf(owner));
}

/** After a DEL that did everything. */
export function rememberDeleted(store: Store, owner: Owner): void {
  const key = keyOf(owner);
  const keys = readKeys(store);
  if (keys.at(-1) !== key) writeKeys(store, [...keys.filter((other) => other !== key), key].slice(-MOST));
}

/** Before an ADD makes anything. */
export function forgetDeleted(store: Store, owner: Owner): void {
  const key = keyOf(owner);
  const keys = readKeys(store);
  if (keys.includes(key))
    writeKeys(
      store,
      keys.filter((other) => other !== key),
    );
}

function readKeys(store: Store): string[] {
  try {
    const maxBytes = MOST * (KEY_LENGTH + 1);
    return (readSmallFile(pathOf(store), { maxBytes, follow: false }) ?? '').split('\n');
  } catch {
    // None yet in this boot.
    return [];
  }
}

function writeKeys(store: Store, keys: readonly string[]): void {
  const path = pathOf(store);
  const draft = `${path}.${process.pid}`;
  try {
    mkdirSync(RUN_FOLDER, { recursive: true, mode: 0o700 });
    writeFileSync(draft, keys.join('\n'), { mode: 0o600 });
    renameSync(draft, path);
  } catch {
    // A stale hint would be wrong where none is only slow.
    rmSync(draft, { force: true });
    rmSync(path, { force: true });
  }
}

function keyOf({ containerId, ifname }: Owner): string {
  return sha256Hex(`${containerId}\n${ifname}`).slice(0, KEY_LENGTH);
}

function pathOf({ dataDir, network }: Store): string {
  return `${RUN_FOLDER}/deleted-${sha256Hex(`${dataDir}\n${network}`).slice(0, 40)}`;
}
