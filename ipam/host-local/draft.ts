/** Files that appear whole or not at all: written under a temporary name, then linked or renamed into place. */
import { rmSync, writeFileSync } from 'node:fs';
import { hasErrno } from '../../lib/cni/errors.ts';
import { randomHex } from '../../lib/linux/random.ts';

interface Folders {
  readonly leases: string;
  readonly drafts: string;
}

/**
 * Runs `place` with the path of a file (0600) that holds `text`, and removes that path afterwards. `place` runs a second
 * time where the first one fails with EXDEV. Throws system errors.
 */
export function withDraft<T>({ leases, drafts }: Folders, text: string, place: (draft: string) => T): T {
  try {
    return tryDraft(`${drafts}/draft-${randomHex(8)}`, text, place);
  } catch (error) {
    if (!hasErrno(error, 'EXDEV')) throw error;
    // The network's folder is a mount point or a link to elsewhere. Beside the leases a draft is as good, but that one
    // left by a crash looks like a lease to the reference.
    return tryDraft(`${leases}/.draft-${randomHex(8)}`, text, place);
  }
}

function tryDraft<T>(draft: string, text: string, place: (draft: string) => T): T {
  try {
    writeFileSync(draft, text, { flag: 'wx', mode: 0o600 });
    return place(draft);
  } finally {
    rmSync(draft, { force: true });
  }
}
