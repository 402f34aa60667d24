/** What the runtime's result cache (libcni's, /var/lib/cni/results) says about an attachment's sandbox. */
import { readdirSync } from 'node:fs';
import * as z from 'zod/mini';
import { hasErrno } from '../cni/errors.ts';
import { netnsState } from '../linux/netns.ts';
import { readSmallFile } from '../linux/small-file.ts';
import type { Owner } from './store.ts';

const RESULTS = '/var/lib/cni/results';
const MAX_BYTES = 16 * 1024 * 1024;

const cacheSchema = z.object({
  netns: z.optional(z.string()),
  result: z.optional(z.object({ interfaces: z.optional(z.array(z.object({ sandbox: z.optional(z.string()) }))) })),
});

/** `alive`: a cached sandbox is there; `none`: no entry, or its sandbox is gone; `unknown`: an entry nobody can read. */
export type CachedSandbox = 'alive' | 'none' | 'unknown';

/** An owner without interface (an old lease) may be any of the container's. */
export function cachedSandbox(network: string, { containerId, ifname }: Owner, folder = RESULTS): CachedSandbox {
  try {
    const prefix = `${network}-${containerId}-`;
    const names = ifname === '' ? entries(folder).filter((name) => name.startsWith(prefix)) : [`${prefix}${ifname}`];
    const found = names.map((name) => sandboxState(`${folder}/${name}`));
    return found.find((state) => state === 'alive') ?? found.find((state) => state === 'unknown') ?? 'none';
  } catch {
    // A folder that cannot be read hides what lives.
    return 'unknown';
  }
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

function sandboxState(path: string): CachedSandbox {
  try {
    const sandboxes = parseSandboxes(readSmallFile(path, { maxBytes: MAX_BYTES, follow: false }) ?? '');
    if (sandboxes === undefined) return 'unknown';
    return sandboxes.some((sandbox) => netnsState(sandbox) === 'netns') ? 'alive' : 'none';
  } catch (error) {
    return hasErrno(error, 'ENOENT', 'ENOTDIR') ? 'none' : 'unknown';
  }
}

/** The paths that an entry names; old versions wrote `netns` only into the result. `undefined` for a damaged entry. */
export function parseSandboxes(text: string): string[] | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Cut short by a crash of the runtime.
    return undefined;
  }
  const parsed = z.safeParse(cacheSchema, value);
  if (!parsed.success) return undefined;
  const { netns, result } = parsed.data;
  const paths = [netns, ...(result?.interfaces ?? []).map(({ sandbox }) => sandbox)];
  const known = paths.filter((path) => path !== undefined).filter((path) => path !== '');
  return known.length === 0 ? undefined : known;
}
