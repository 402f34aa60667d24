/** The one door to stdin, stdout, stderr, signals and exit status of a plugin's process. */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { Chronicle } from '../journal/chronicle.ts';
import { openSegment } from '../journal/journal.ts';
import { isOwnNetns } from '../linux/netns.ts';
import { writeAll } from '../linux/write-all.ts';
import { dispatch, failure, type Outcome } from './dispatch.ts';
import { CniError, code, hasErrno } from './errors.ts';
import type { Call, Host, Plugin } from './plugin.ts';

/** Runs this process as `plugin` and ends it. Exactly one JSON object reaches stdout, whatever happens. */
export async function runAsPlugin(plugin: Plugin, builtins: ReadonlyMap<string, Plugin>): Promise<never> {
  const chronicle = new Chronicle({ plugin: plugin.name, env: process.env, complain, openSegment });
  process.on('uncaughtException', (error) => finish(failure(error), chronicle));
  const host = makeHost(builtins, chronicle);
  process.on('SIGTERM', host.terminate);
  const readStdin = () => readAll(host.checkpoint);
  const onCall = (call: Call) => chronicle.begin(call);
  return finish(await dispatch({ plugin, env: process.env, readStdin, host, onCall, isOwnNetns }), chronicle);
}

/** Answers a call by a name that is no plugin of ours. */
export function refuseName(name: string, known: readonly string[]): never {
  const error = new CniError(
    code.unknownPlugin,
    `there is no plugin called ${JSON.stringify(name)} in this executable`,
    {
      details: `link or copy it under one of the names ${known.join(', ')}`,
    },
  );
  return finish(failure(error));
}

function makeHost(builtins: ReadonlyMap<string, Plugin>, chronicle: Chronicle): Host & { terminate(): void } {
  let terminated = false;
  return {
    builtins,
    terminate() {
      terminated = true;
    },
    warn(message) {
      complain(message);
      chronicle.warn(message);
    },
    async checkpoint() {
      await new Promise((resolve) => setImmediate(resolve));
      if (!terminated) return;
      throw new CniError(code.interrupted, 'interrupted by SIGTERM', {
        details: 'an ADD has undone what it did, a DEL goes on where it stopped: call it again',
      });
    },
  };
}

/** Pause between two looks at a stdin that has nothing to read yet. */
const STDIN_PAUSE_MS = 2;

/**
 * Stdin to its end. It is opened anew without blocking, so that a SIGTERM is seen while the runtime has not closed its
 * end.
 */
async function readAll(checkpoint: () => Promise<void>): Promise<string> {
  const fd = openStdin();
  if (fd === undefined) return readFileSync(0, 'utf8');
  try {
    const chunks: Buffer[] = [];
    for (;;) {
      const chunk = readChunk(fd);
      if (chunk?.length === 0) return Buffer.concat(chunks).toString('utf8');
      if (chunk !== undefined) chunks.push(chunk);
      else await new Promise((resolve) => setTimeout(resolve, STDIN_PAUSE_MS));
      await checkpoint();
    }
  } finally {
    closeSync(fd);
  }
}

/** Only a pipe: opened again, a file would be read from its start, and a socket cannot be. */
function openStdin(): number | undefined {
  try {
    return fstatSync(0).isFIFO() ? openSync('/proc/self/fd/0', constants.O_RDONLY | constants.O_NONBLOCK) : undefined;
  } catch {
    // No /proc: reading the descriptor itself says what is wrong, if anything.
    return undefined;
  }
}

const CHUNK_BYTES = 65_536;

/** What there is to read, empty at the end; `undefined` when there is nothing yet. */
function readChunk(fd: number): Buffer | undefined {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  try {
    return chunk.subarray(0, readSync(fd, chunk, 0, CHUNK_BYTES, null));
  } catch (error) {
    if (hasErrno(error, 'EAGAIN')) return undefined;
    throw error;
  }
}

function complain(message: string): void {
  writeAll(2, `${message}\n`);
}

/** The answer first: nobody waits for what is written about it. */
function finish(outcome: Outcome, chronicle?: Chronicle): never {
  writeAll(2, outcome.stderr);
  const written = writeAll(1, outcome.stdout);
  chronicle?.end(outcome.error);
  process.exit(written ? outcome.exitCode : 1);
}
