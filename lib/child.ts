/** An asynchronous child to its end: fed, heard out, and ended when its deadline passes. Started by ./exec.ts alone. */
import type { ChildProcess } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { messageOf } from './cni/errors.ts';

/** Longest output that is heard of a child. */
export const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

export interface ChildEnding {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  readonly timedOut: boolean;
  /** Why it could not be started. */
  readonly error?: unknown;
  readonly originalMessage?: string;
}

export interface Feeding {
  readonly stdin: string;
  readonly timeoutMs: number;
  /** What happens when the deadline passes. */
  readonly kill: (child: ChildProcess) => void;
}

/** The end of the child that `start` starts. Never rejects. */
export async function endOf(start: () => ChildProcess, feeding: Feeding): Promise<ChildEnding> {
  try {
    return await outcomeOf(start(), feeding);
  } catch (error) {
    const none = { stdout: '', stderr: '', exitCode: undefined, signal: undefined, timedOut: false };
    return { ...none, error, originalMessage: messageOf(error) };
  }
}

/** Rejects when `child` could not be started. */
function outcomeOf(child: ChildProcess, { stdin, timeoutMs, kill }: Feeding): Promise<ChildEnding> {
  const failed = new Promise<never>((_, reject) => child.once('error', reject));
  const pipes = pipesOf(child);
  // Without descriptors left there are no streams, and the event that says so is yet to come.
  if (pipes === undefined) return failed;
  let timedOut = false;
  const end = () => {
    kill(child);
    // A descendant that left the group may hold the other ends; nobody waits for it.
    pipes.stdout.destroy();
    pipes.stderr.destroy();
  };
  const timer = setTimeout(() => {
    timedOut = true;
    end();
  }, timeoutMs);
  const stdout = collect(pipes.stdout, end);
  const stderr = collect(pipes.stderr, end);
  // It need not read its stdin.
  pipes.stdin.on('error', () => {});
  pipes.stdin.end(stdin);
  const ended = new Promise<ChildEnding>((resolve) => {
    child.once('close', (status, name) => {
      const [exitCode, signal] = [status ?? undefined, name ?? undefined];
      resolve({ stdout: stdout(), stderr: stderr(), exitCode, signal, timedOut });
    });
  });
  return Promise.race([failed, ended]).finally(() => clearTimeout(timer));
}

interface Pipes {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
}

function pipesOf({ stdin, stdout, stderr }: ChildProcess): Pipes | undefined {
  return stdin && stdout && stderr ? { stdin, stdout, stderr } : undefined;
}

/** What `stream` has said so far, as a function; `onFlood` when that is more than anybody's result. */
function collect(stream: Readable, onFlood: () => void): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_OUTPUT_BYTES) onFlood();
  });
  return () => Buffer.concat(chunks).toString('utf8');
}
