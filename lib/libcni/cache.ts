/**
 * libcni's result cache: what ADD was asked and answered, one file per attachment, so that CHECK and DEL get the same.
 * Same names and bytes as libcni v1.3.0 writes, so either side can read the other's; ours appear whole or not at all.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import * as z from 'zod/mini';
import { parseResult, renderResult } from '../cni/convert.ts';
import { CniError, code, hasErrno, messageOf } from '../cni/errors.ts';
import { decode, encodeCompact, isObject, type JsonObject } from '../cni/json.ts';
import { DEFAULT_VERSION } from '../cni/version.ts';
import { ioError } from '../linux/io-error.ts';
import { readSmallFile } from '../linux/small-file.ts';
import { type Attachment, type CniArgs, cacheFileName } from './attachment.ts';
import type { Network } from './network.ts';
import { sortKeys } from './sort-keys.ts';

export const KIND = 'cniCacheV1';
/** No result is near this; a file that is, is not read into memory. */
export const MAX_BYTES = 16 * 1024 * 1024;

export interface CachedAttachment {
  /** In the shape of the network's version. */
  readonly result?: JsonObject;
  readonly args?: CniArgs;
  readonly capabilityArgs?: JsonObject;
}

const cachedSchema = z.object({
  kind: z.literal(KIND),
  netns: z.optional(z.string()),
  cniArgs: z.optional(z.array(z.tuple([z.string(), z.string()]))),
  capabilityArgs: z.optional(z.record(z.string(), z.unknown())),
  result: z.optional(z.record(z.string(), z.unknown())),
});

/**
 * What the ADD of this attachment left; `undefined` when there is nothing. Throws when there is something that cannot
 * be read or converted to the network's version: CHECK reports that, DEL goes on without.
 */
export function readCache(cacheDir: string, network: Network, attachment: Attachment): CachedAttachment | undefined {
  const path = pathOf(cacheDir, network, attachment);
  const text = readText(path);
  if (text === undefined) return undefined;
  try {
    return parseCached(text, network.cniVersion);
  } catch (error) {
    throw new CniError(
      code.decodingFailure,
      `failed to get network "${network.name}" cached result: ${messageOf(error)}`,
      {
        details: `${path} is damaged or of another version; DEL does without it and removes it`,
        cause: error,
      },
    );
  }
}

function parseCached(text: string, version: string): CachedAttachment {
  const value: unknown = JSON.parse(text);
  if (!isObject(value)) throw new CniError(code.decodingFailure, 'it is no JSON object');
  // Before it had a kind, the file was the bare result.
  if (value.kind !== KIND) return { result: convert(value, version) };
  const { result, cniArgs, capabilityArgs } = decode(cachedSchema, value, 'cached result');
  return {
    ...(result === undefined ? {} : { result: convert(result, version) }),
    ...(cniArgs === undefined ? {} : { args: cniArgs }),
    ...(capabilityArgs === undefined ? {} : { capabilityArgs }),
  };
}

/** The network's version may have changed while the container ran. */
function convert(result: JsonObject, version: string): JsonObject {
  const own = typeof result.cniVersion === 'string' && result.cniVersion !== '' ? result.cniVersion : DEFAULT_VERSION;
  return renderResult(parseResult(result, own, 'cached result'), version);
}

/** Keeps what ADD was asked and answered. The key order is that of libcni's structure. */
export function writeCache(cacheDir: string, network: Network, entry: Attachment & { result: JsonObject }): void {
  const { args = [], capabilityArgs = {} } = entry;
  const text = encodeCompact({
    kind: KIND,
    containerId: entry.containerId,
    config: Buffer.from(network.text).toString('base64'),
    ifName: entry.ifname,
    networkName: network.name,
    ...(entry.netns === '' ? {} : { netns: entry.netns }),
    ...(args.length === 0 ? {} : { cniArgs: args }),
    ...(Object.keys(capabilityArgs).length === 0 ? {} : { capabilityArgs: sortKeys(capabilityArgs) }),
    result: sortKeys(entry.result),
  });
  const path = pathOf(cacheDir, network, entry);
  try {
    writeWhole(path, text, `${folderOf(cacheDir)}/.cnictl-${process.pid}`);
  } catch (error) {
    throw ioError('write', path, error);
  }
}

/** No network's file starts with a dot, so the draft is nobody's cache entry; libcni skips what it cannot parse. */
function writeWhole(path: string, text: string, draft: string): void {
  mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true, mode: 0o700 });
  rmSync(draft, { force: true });
  try {
    writeFileSync(draft, text, { flag: 'wx', mode: 0o600 });
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}

/** True when an ADD of this attachment was followed by no DEL. */
export function isCached(cacheDir: string, network: Network, attachment: Attachment): boolean {
  return existsSync(pathOf(cacheDir, network, attachment));
}

/** Forgets the attachment; nothing there is success. */
export function removeCache(cacheDir: string, network: Network, attachment: Attachment): void {
  const path = pathOf(cacheDir, network, attachment);
  try {
    rmSync(path, { force: true });
  } catch (error) {
    throw ioError('remove', path, error);
  }
}

function pathOf(cacheDir: string, network: Network, attachment: Attachment): string {
  return `${folderOf(cacheDir)}/${cacheFileName(network.name, attachment)}`;
}

/** Where the entries are. */
export function folderOf(cacheDir: string): string {
  return `${cacheDir}/results`;
}

/** The file's text, `undefined` when there is none. Never through a symlink, never waiting for a pipe. */
function readText(path: string): string | undefined {
  let text: string | undefined;
  try {
    text = readSmallFile(path, { maxBytes: MAX_BYTES, follow: false });
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw ioError('read', path, error);
  }
  if (text !== undefined) return text;
  throw new CniError(code.ioFailure, `cannot read ${JSON.stringify(path)}: it is no file, or one of over 16 MiB`, {
    details: 'CHECK needs the result of ADD; DEL does without it',
  });
}
