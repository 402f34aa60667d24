/** The result cache as a whole: which attachments of a network it remembers, and forgetting those that are no more. */
import { lstatSync, readdirSync, rmSync } from 'node:fs';
import * as z from 'zod/mini';
import { parseSandboxes } from '../attachment/result-cache.ts';
import { parseResult } from '../cni/convert.ts';
import { hasErrno } from '../cni/errors.ts';
import { DEFAULT_VERSION } from '../cni/version.ts';
import { ioError } from '../linux/io-error.ts';
import { readSmallFile } from '../linux/small-file.ts';
import { parseCidr } from '../net/ip.ts';
import { cacheFileName } from './attachment.ts';
import { folderOf, KIND, MAX_BYTES } from './cache.ts';

export interface CacheEntry {
  readonly path: string;
  /** Of the file when it was read: ADD writes another one. */
  readonly inode: bigint;
  readonly containerId: string;
  readonly ifname: string;
  /** Paths of the namespaces that it names; one at least. */
  readonly sandboxes: readonly string[];
  /** The result's, without prefix lengths. */
  readonly addresses: readonly string[];
}

const entrySchema = z.object({
  kind: z.literal(KIND),
  containerId: z.string(),
  ifName: z.string(),
  networkName: z.string(),
  result: z.optional(z.looseObject({ cniVersion: z.optional(z.string()) })),
});

/**
 * The entries of `network`, by name. Left out, since nobody can say whose they are: damaged ones, those from before
 * entries had a `kind`, and those whose name is not made of what they hold. Throws code 5.
 */
export function listCache(cacheDir: string, network: string): CacheEntry[] {
  const folder = folderOf(cacheDir);
  return namesIn(folder)
    .filter((name) => name.startsWith(`${network}-`))
    .flatMap((name) => readEntry(`${folder}/${name}`, { name, network }) ?? []);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw ioError('list', folder, error);
  }
}

function readEntry(path: string, file: { name: string; network: string }): CacheEntry | undefined {
  try {
    const inode = lstatSync(path, { bigint: true }).ino;
    const entry = parseEntry(readSmallFile(path, { maxBytes: MAX_BYTES, follow: false }) ?? '', file);
    return entry && { path, inode, ...entry };
  } catch {
    // Gone meanwhile, a link, unreadable, damaged: nothing that could be judged.
    return undefined;
  }
}

/** Pure. Throws when `text` is no entry. */
function parseEntry(text: string, { name, network }: { name: string; network: string }) {
  const { containerId, ifName, networkName, result } = z.parse(entrySchema, JSON.parse(text));
  const sandboxes = parseSandboxes(text);
  if (networkName !== network || sandboxes === undefined) return undefined;
  if (cacheFileName(network, { containerId, ifname: ifName }) !== name) return undefined;
  const { ips } = parseResult(result ?? {}, result?.cniVersion || DEFAULT_VERSION, 'cached result');
  const addresses = ips.map(({ address }) => parseCidr(address)?.ip.text ?? '').filter((address) => address !== '');
  return { containerId, ifname: ifName, sandboxes, addresses };
}

/** Forgets what `entry` says, unless somebody has written another one since. Gone is success. Throws code 5. */
export function forgetEntry({ path, inode }: CacheEntry): void {
  try {
    if (lstatSync(path, { bigint: true, throwIfNoEntry: false })?.ino === inode) rmSync(path, { force: true });
  } catch (error) {
    throw ioError('remove', path, error);
  }
}
