/** The journal's lines (./journal.ts), put together to calls. Whatever is damaged or not ours is passed over. */
import * as z from 'zod/mini';
import { readSmallFile } from '../linux/small-file.ts';
import type { Head } from './head.ts';
import { SEGMENTS } from './journal.ts';

/** More than the writers ever make of a segment. */
const MAX_BYTES = 16 * 1024 * 1024;

const beginSchema = z.object({
  at: z.number(),
  pid: z.number(),
  plugin: z.string(),
  verb: z.string(),
  network: z.string(),
  containerId: z.string(),
  ifname: z.string(),
});
const stepSchema = z.object({ step: z.string(), ms: z.number() });
const endSchema = z.object({
  ms: z.number(),
  code: z.number(),
  msg: z._default(z.string(), ''),
  details: z._default(z.string(), ''),
  children: z.array(z.object({ tool: z.string(), ms: z.number(), ending: z._default(z.string(), '0') })),
});
const lineSchema = z.object({ call: z.string() });

export type JournalEnd = z.output<typeof endSchema>;

export interface JournalCall extends Head {
  readonly atMs: number;
  readonly pid: number;
  /** What it was about to do, in milliseconds since its process was started; the last one is where a kill found it. */
  readonly steps: readonly { readonly what: string; readonly atMs: number }[];
  /** Absent where the call is running or was killed. */
  readonly end: JournalEnd | undefined;
}

/** In the order in which they began; none where there is no journal. */
export function readJournal(): JournalCall[] {
  return parseJournal(SEGMENTS.toReversed().map(readSegment).join('\n'));
}

function readSegment(path: string): string {
  try {
    return readSmallFile(path, { maxBytes: MAX_BYTES, follow: false }) ?? '';
  } catch {
    // None yet in this boot, or something by that name that no call writes to either.
    return '';
  }
}

interface Growing {
  readonly begin: z.output<typeof beginSchema>;
  readonly steps: { what: string; atMs: number }[];
  end?: JournalEnd;
}

export function parseJournal(text: string): JournalCall[] {
  const calls = new Map<string, Growing>();
  for (const line of text.split('\n')) takeLine(calls, parseLine(line));
  return [...calls.values()]
    .map(({ begin: { at, ...head }, steps, end }) => ({ ...head, atMs: at, steps, end }))
    .toSorted((a, b) => a.atMs - b.atMs);
}

function parseLine(line: string): unknown {
  // An exception per line would make noise slow.
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    // Torn by a full disk, or not ours.
    return undefined;
  }
}

function takeLine(calls: Map<string, Growing>, value: unknown): void {
  const line = z.safeParse(lineSchema, value);
  if (!line.success) return;
  const { call } = line.data;
  const begin = z.safeParse(beginSchema, value);
  if (begin.success) calls.set(call, { begin: begin.data, steps: [] });
  const known = calls.get(call);
  // Its beginning may have gone with the segment before.
  if (known === undefined) return;
  const step = z.safeParse(stepSchema, value);
  if (step.success) known.steps.push({ what: step.data.step, atMs: step.data.ms });
  const end = z.safeParse(endSchema, value);
  if (end.success) known.end = end.data;
}
