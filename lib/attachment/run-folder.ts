/** Where hints live that mean nothing after the next boot: when a network was swept, what was deleted last. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

export const RUN_FOLDER: string = '/run/nodecni';

/** Puts a hint (0600) at `path` in that folder in one step. Throws nothing: without it the next verb only looks again. */
export function writeHint(path: string, text: string): void {
  const draft = `${path}.${process.pid}`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(draft, text, { mode: 0o600 });
    renameSync(draft, path);
  } catch {
    rmSync(draft, { force: true });
  }
}
