/** Runs one tool of the build and turns its failure into a sentence. */

import { spawnSync } from 'node:child_process';

export interface CommandOptions {
  readonly cwd?: string;
  /** Absent: the environment of the build. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** Standard output of the tool. Throws with its own words when it fails. */
export function run(tool: string, args: readonly string[], options: CommandOptions = {}): string {
  const { status, signal, stdout, stderr, error } = spawnSync(tool, args, { ...options, encoding: 'utf8' });
  if (error !== undefined) throw new Error(`cannot run ${tool}: ${error.message}`, { cause: error });
  if (status === 0) return stdout;
  const words = `${stderr}${stdout}`.split('\n').map(shorten).join('\n');
  throw new Error(`${tool} ${args.join(' ')} failed (${signal ?? `exit code ${status}`}):\n${words}`);
}

/** A failure inside the bundle comes with its line of code, and a minified line is a page. */
function shorten(line: string): string {
  return line.length <= 300 ? line : `${line.slice(0, 300)} …`;
}

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Ends the build with the message alone: its stack would only show the build's own code. */
export function fail(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
