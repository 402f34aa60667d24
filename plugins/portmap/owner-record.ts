/**
 * What each attachment's ADD forwarded, one file per attachment: DEL makes the same rules from it, also when the runtime
 * hands on neither mappings nor result. Written before the rules, removed after them.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import * as z from 'zod/mini';
import { CniError, code, hasErrno, messageOf } from '../../lib/cni/errors.ts';
import { sha256Hex } from '../../lib/hash.ts';
import { parseCidr, parseIp } from '../../lib/net/ip.ts';
import type { Attachment, Forwarding } from './forwarding.ts';

/** Outlives /run, like the leases. */
export const STATE_FOLDER = '/var/lib/cni/nodecni/portmap';

const port = z.int().check(z.minimum(1), z.maximum(65535));
const target = z.optional(z.string().check(z.refine((text) => parseCidr(text) !== undefined)));
const ruleWord = z.string().check(z.regex(/^[^\n\r\0]+$/));

const recordSchema = z.object({
  version: z.literal(1),
  network: z.string(),
  containerId: z.string(),
  ifname: z.string(),
  targets: z.object({ 4: target, 6: target }),
  mappings: z.array(
    z.object({
      hostPort: port,
      containerPort: port,
      protocol: z.enum(['tcp', 'udp', 'sctp']),
      spelling: z.string().check(z.regex(/^[a-z]+$/i)),
      hostIp: z.string().check(z.refine((text) => text === '' || parseIp(text) !== undefined)),
    }),
  ),
  snat: z.boolean(),
  masqAll: z.boolean(),
  markMasqBit: z.int().check(z.minimum(0), z.maximum(31)),
  externalSetMarkChain: z.optional(ruleWord),
  conditions: z.object({ 4: z.array(ruleWord), 6: z.array(ruleWord) }),
});

/** The attachment's record; `damaged` when there is one that cannot be used. */
export function readRecord(attachment: Attachment): Forwarding | 'damaged' | undefined {
  const read = readFile(fileOf(attachment));
  if (read === undefined || read === 'damaged') return read;
  return isOf(attachment)(read) && read.ifname === attachment.ifname ? read : 'damaged';
}

/** The records of the container's other interfaces on the same network. */
export function readSiblings(attachment: Attachment): Forwarding[] {
  return listFolder()
    .filter((name) => name.startsWith(`${containerPart(attachment)}-`) && name.endsWith('.json'))
    .map((name) => readFile(`${STATE_FOLDER}/${name}`))
    .filter((read) => read !== undefined && read !== 'damaged')
    .filter((read) => isOf(attachment)(read) && read.ifname !== attachment.ifname);
}

/** Throws code 5. */
export function writeRecord(forwarding: Forwarding): void {
  const path = fileOf(forwarding);
  const temporary = `${path}.${process.pid}.${process.hrtime.bigint()}`;
  try {
    mkdirSync(STATE_FOLDER, { recursive: true, mode: 0o700 });
    writeFileSync(temporary, renderRecord(forwarding), { mode: 0o600, flag: 'wx' });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw recordError('write', path, error);
  }
}

/** Missing is success. Throws code 5. */
export function removeRecord(attachment: Attachment): void {
  const path = fileOf(attachment);
  try {
    rmSync(path, { force: true });
  } catch (error) {
    throw recordError('remove', path, error);
  }
}

function readFile(path: string): Forwarding | 'damaged' | undefined {
  try {
    return parseRecord(readFileSync(path, 'utf8'));
  } catch (error) {
    return hasErrno(error, 'ENOENT', 'ENOTDIR') ? undefined : 'damaged';
  }
}

/** `text` may be torn, and rules are made from it. */
export function parseRecord(text: string): Forwarding | 'damaged' {
  try {
    const parsed = z.safeParse(recordSchema, JSON.parse(text));
    return parsed.success ? parsed.data : 'damaged';
  } catch {
    return 'damaged';
  }
}

export function renderRecord(forwarding: Forwarding): string {
  return JSON.stringify({ version: 1, ...forwarding });
}

function listFolder(): string[] {
  try {
    return readdirSync(STATE_FOLDER);
  } catch {
    // Nothing was forwarded yet on this host.
    return [];
  }
}

function isOf({ network, containerId }: Attachment): (record: Forwarding) => boolean {
  return (record) => record.network === network && record.containerId === containerId;
}

/** Names from outside become part of a path only as hashes. */
function fileOf(attachment: Attachment): string {
  return `${STATE_FOLDER}/${containerPart(attachment)}-${sha256Hex(attachment.ifname).slice(0, 16)}.json`;
}

function containerPart({ network, containerId }: Attachment): string {
  return sha256Hex(`${network}\n${containerId}`).slice(0, 40);
}

function recordError(action: string, path: string, cause: unknown): CniError {
  return new CniError(code.ioFailure, `cannot ${action} the port forwarding record "${path}": ${messageOf(cause)}`, {
    details: `the plugin keeps one small file per container with forwarded ports in ${STATE_FOLDER}`,
    cause,
  });
}
