/** What the runtime's result cache (libcni's, /var/lib/cni/results) says about attachments: sandbox, network, lease folder. */
import { readdirSync } from 'node:fs';
import * as z from 'zod/mini';
import { hasErrno } from '../cni/errors.ts';
import { netnsState } from '../linux/netns.ts';
import { readSmallFile } from '../linux/small-file.ts';
import { absolutePath, type Owner } from './store.ts';

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
    const names = ifname === '' ? entriesOf(folder, network, containerId) : [`${network}-${containerId}-${ifname}`];
    const found = names.map((name) => sandboxState(`${folder}/${name}`));
    return found.find((state) => state === 'alive') ?? found.find((state) => state === 'unknown') ?? 'none';
  } catch {
    // A folder that cannot be read hides what lives.
    return 'unknown';
  }
}

/** Names of the networks that an entry of the container names. Throws nothing. */
export function cachedNetworks(containerId: string, folder = RESULTS): string[] {
  const names = unlessUnreadable(() => entries(folder));
  return names.flatMap((name) => {
    const at = name.lastIndexOf(`-${containerId}-`);
    return at > 0 ? [name.slice(0, at)] : [];
  });
}

const cachedConfigSchema = z.object({ config: z.string() });
const ipamSchema = z.object({ ipam: z.optional(z.object({ dataDir: absolutePath })) });
const configSchema = z.extend(ipamSchema, { plugins: z.optional(z.array(ipamSchema)) });

/** Folders of leases other than the usual one that the cached configurations of the container name. Throws nothing. */
export function cachedDataDirs(network: string, containerId: string, folder = RESULTS): string[] {
  return unlessUnreadable(() => entriesOf(folder, network, containerId)).flatMap((name) =>
    unlessUnreadable(() => {
      const text = readSmallFile(`${folder}/${name}`, { maxBytes: MAX_BYTES, follow: false }) ?? '';
      return parseDataDirs(text);
    }),
  );
}

/** Throws where the text is not what libcni writes. */
function parseDataDirs(text: string): string[] {
  const { config } = z.parse(cachedConfigSchema, JSON.parse(text));
  const { plugins = [], ipam } = z.parse(configSchema, JSON.parse(Buffer.from(config, 'base64').toString()));
  const dirs = [ipam, ...plugins.map((plugin) => plugin.ipam)].map((one) => one?.dataDir ?? '');
  return [...new Set(dirs)].filter((dir) => dir !== '');
}

function unlessUnreadable(look: () => string[]): string[] {
  try {
    return look();
  } catch {
    // Damaged, of an old version, or not ours to read: then it names nothing.
    return [];
  }
}

function entriesOf(folder: string, network: string, containerId: string): string[] {
  return entries(folder).filter((name) => name.startsWith(`${network}-${containerId}-`));
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
