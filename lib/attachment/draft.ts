/** Files that appear whole or not at all: written under a temporary name, then linked or renamed into place. */
import { closeSync, fstatSync, openSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hasErrno } from '../cni/errors.ts';
import { ioError } from '../linux/io-error.ts';
import { randomHex } from '../linux/random.ts';
import type { Store } from './store.ts';

type Folders = Pick<Store, 'leases' | 'drafts'>;

const PREFIX = 'draft-';

/** A lease that waits for its name. */
export interface Draft {
  readonly path: string;
  readonly inode: string;
  readonly mtimeNs: string;
}

/** Writes `text` (0600) where link(2) can give it a name among the leases. Throws code 5, and leaves nothing then. */
export function writeDraft(store: Folders, text: string | Buffer): Draft {
  const path = `${folderFor(store)}${PREFIX}${randomHex(8)}`;
  try {
    const fd = openSync(path, 'wx', 0o600);
    try {
      writeFileSync(fd, text);
      const { ino, mtimeNs } = fstatSync(fd, { bigint: true });
      return { path, inode: `${ino}`, mtimeNs: `${mtimeNs}` };
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    rmSync(path, { force: true });
    throw ioError('write a lease in', store.leases, error);
  }
}

/**
 * Where the network's folder is a mount point or a link to elsewhere, a draft has to be beside the leases. It is as good
 * there, but one left by a crash looks like a lease to the reference.
 */
function folderFor({ leases, drafts }: Folders): string {
  return statSync(leases).dev === statSync(drafts).dev ? `${drafts}/` : `${leases}/.`;
}

export function removeDraft({ path }: Pick<Draft, 'path'>): void {
  rmSync(path, { force: true });
}

/** Puts a file (0600) that holds `text` at `path` in one step, whatever file is there. Throws system errors. */
export function replaceFile(store: Folders, path: string, text: string | Buffer): void {
  const draft = writeDraft(store, text);
  try {
    // rename(2) replaces a symbolic link instead of writing where it leads.
    renameSync(draft.path, path);
  } catch (error) {
    removeDraft(draft);
    throw error;
  }
}

/**
 * Removes drafts that a killed call left behind. For the holder of the lease lock, under which all drafts are written:
 * none of them is anybody's.
 */
export function sweepDrafts({ leases, drafts }: Folders): void {
  const left = [
    ...namesIn(drafts, PREFIX).map((name) => `${drafts}/${name}`),
    ...namesIn(leases, `.${PREFIX}`).map((name) => `${leases}/${name}`),
  ];
  for (const path of left) rmSync(path, { force: true });
}

function namesIn(folder: string, prefix: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.startsWith(prefix));
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw ioError('read the folder', folder, error);
  }
}
