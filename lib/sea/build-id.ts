/** The build id: a hash over everything that decides what the executable does. */

import { createHash } from 'node:crypto';

/** Stands in the bundle where the id goes, since the id is a hash over that very bundle. */
export const buildIdPlaceholder = '@nodecni-build-id-goes-here-32b@';

/** 32 hex digits. Each part goes in with its length, so that no two lists of parts look alike. */
export function buildIdOf(parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest('hex').slice(0, 32);
}

/** Names one set of libraries, whatever build they come with. */
export function libraryIdOf(libraries: readonly Uint8Array[]): string {
  return buildIdOf(libraries).slice(0, 16);
}

export function stampBuildId(bundle: string, buildId: string): string {
  return bundle.replaceAll(buildIdPlaceholder, buildId);
}
