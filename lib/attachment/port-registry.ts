/**
 * Which record claims which ports, in one file beside the records (`owners`), so that no ADD has to read four hundred of
 * them. Written by ADDs alone, under the lock of ./port-lock.ts, after the record; an ADD that replaces a record takes the
 * old one out first. So wherever a call is killed, what the file says of a record that is there is true; a record that it
 * does not know is read, and what it says of one that is gone counts for nothing.
 */
import { renameSync, writeFileSync } from 'node:fs';
import * as z from 'zod/mini';
import { BACKENDS, type BackendName } from '../firewall/backend.ts';
import { bootId } from '../linux/boot.ts';
import { ioError } from '../linux/io-error.ts';
import { ownCookie } from '../linux/netns.ts';
import { readSmallFile } from '../linux/small-file.ts';
import { claimsMeet, claimsOf, formatClaim, type PortClaim, parseClaim } from './port-claims.ts';
import {
  type Localnet,
  localnetSchema,
  type PortAttachment,
  type PortMapping,
  type PortRecord,
} from './port-record.ts';
import { readRecordFile, recordFileName, recordFileNames, STATE_FOLDER } from './port-record-store.ts';
import type { Traces } from './traces.ts';

const PATH = `${STATE_FOLDER}/owners`;
const MAX_BYTES = 64 * 1024 * 1024;

/** What a record says that others have to know. */
const entrySchema = z.object({
  /** As text. */
  claims: z.array(z.string()),
  /** Of an attachment of this boot in this network namespace. */
  localnet: z.optional(z.extend(localnetSchema, { backend: z.enum(BACKENDS) })),
});

const indexSchema = z.object({
  version: z.literal(1),
  /** For whom all this was written: a boot and a network namespace of the host. */
  bootId: z.string(),
  hostNetns: z.string(),
  /** By the name of the record's file. */
  records: z.record(z.string(), entrySchema),
  /** What rules without a record claimed when they were last looked at. */
  strangers: z.optional(z.array(z.string())),
});

type Entry = z.output<typeof entrySchema>;
type Index = z.output<typeof indexSchema>;

export interface PortRegistry {
  /** By the name of the record's file: of all records of this host that can be read. */
  readonly entries: ReadonlyMap<string, Entry>;
  /** Names that the file has. */
  readonly indexed: ReadonlySet<string>;
  /** What rules without a record claim, as text; `undefined` when nobody looked in this boot. */
  readonly strangers: readonly string[] | undefined;
}

export function readRegistry(): PortRegistry {
  const index = readIndex();
  const now = { bootId: bootId(), hostNetns: ownCookie() };
  const known = index !== undefined && isOf(now)(index) ? index : undefined;
  const entries = recordFileNames().map((name) => [name, known?.records[name] ?? readEntry(name, now)] as const);
  return {
    entries: new Map(entries),
    indexed: new Set(Object.keys(index?.records ?? {})),
    strangers: known?.strangers,
  };
}

type Moment = Pick<Traces, 'bootId' | 'hostNetns'>;

function isOf(now: Moment): (seen: Moment) => boolean {
  return (seen) => seen.bootId === now.bootId && seen.hostNetns === now.hostNetns;
}

/** A damaged record claims nothing: nobody knows what. */
function readEntry(name: string, now: Moment): Entry {
  const read = readRecordFile(name);
  if (read === undefined || read === 'damaged') return { claims: [] };
  const { mappings, localnet, backend, traces } = read;
  const claims = claimsOf(mappings).map(formatClaim);
  const isUser = localnet !== undefined && traces !== undefined && isOf(now)(traces);
  return isUser ? { claims, localnet: { ...localnet, backend } } : { claims };
}

export interface LocalnetUser extends Localnet {
  readonly backend: BackendName;
}

/** Who needs packets from 127.0.0.1 let through in this boot and network namespace, but for `except`. */
export function localnetUsers({ entries }: PortRegistry, except?: PortAttachment): LocalnetUser[] {
  const own = except === undefined ? undefined : recordFileName(except);
  return [...entries].flatMap(([name, { localnet }]) => (name === own || localnet === undefined ? [] : [localnet]));
}

/** The records, but for `attachment`'s own, that claim one of the ports of `mappings`. */
export function recordsMeeting(
  { entries }: PortRegistry,
  attachment: PortAttachment,
  mappings: readonly PortMapping[],
): PortRecord[] {
  const wanted = claimsOf(mappings);
  const own = recordFileName(attachment);
  return [...entries]
    .filter(([name, { claims }]) => name !== own && claims.some((text) => meetsAny(text, wanted)))
    .map(([name]) => readRecordFile(name))
    .filter((read) => read !== undefined && read !== 'damaged');
}

function meetsAny(text: string, claims: readonly PortClaim[]): boolean {
  const claim = parseClaim(text);
  return claim !== undefined && claims.some((own) => claimsMeet(own, claim));
}

/** Whether rules without a record have to be looked at before anybody gets a port of `mappings`. */
export function mayMeetStrangers({ strangers }: PortRegistry, mappings: readonly PortMapping[]): boolean {
  const wanted = claimsOf(mappings);
  return strangers === undefined || strangers.some((text) => meetsAny(text, wanted));
}

/** After a look at all rules without a record. */
export function withStrangers(registry: PortRegistry, mappings: readonly PortMapping[]): PortRegistry {
  const indexed = new Set(registry.entries.keys());
  const seen = { ...registry, indexed, strangers: claimsOf(mappings).map(formatClaim) };
  tryWriteIndex(seen);
  return seen;
}

/** Before the attachment's record is replaced. Throws code 5. */
export function forgetClaims(registry: PortRegistry, attachment: PortAttachment): void {
  const name = recordFileName(attachment);
  if (!registry.indexed.has(name)) return;
  try {
    writeIndex({ ...registry, entries: new Map([...registry.entries].filter(([other]) => other !== name)) });
  } catch (error) {
    throw ioError('write', PATH, error);
  }
}

/** After the attachment's record was written for good, by an ADD of now. */
export function rememberClaims(registry: PortRegistry, { mappings, localnet, backend, ...owner }: PortRecord): void {
  const claims = claimsOf(mappings).map(formatClaim);
  const entry = localnet === undefined ? { claims } : { claims, localnet: { ...localnet, backend } };
  tryWriteIndex({ ...registry, entries: new Map([...registry.entries, [recordFileName(owner), entry]]) });
}

function tryWriteIndex(registry: PortRegistry): void {
  try {
    writeIndex(registry);
  } catch {
    // A full disk: what the file does not know, later ADDs look up.
  }
}

function readIndex(): Index | undefined {
  try {
    return parseIndex(readSmallFile(PATH, { maxBytes: MAX_BYTES, follow: false }) ?? '');
  } catch {
    // None yet, or damaged: then every record is read.
    return undefined;
  }
}

/** Throws where the text is no JSON. */
export function parseIndex(text: string): Index | undefined {
  const parsed = z.safeParse(indexSchema, JSON.parse(text));
  return parsed.success ? parsed.data : undefined;
}

/** Whole or not at all; under the lock nobody else writes. */
function writeIndex({ entries, strangers }: PortRegistry): void {
  const now = { bootId: bootId(), hostNetns: ownCookie() };
  const index = { version: 1, ...now, records: Object.fromEntries(entries), strangers };
  writeFileSync(`${PATH}.draft`, JSON.stringify(index), { mode: 0o600 });
  renameSync(`${PATH}.draft`, PATH);
}
