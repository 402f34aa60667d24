/** Runs commands for the tests: every one has a deadline, after which its whole process group is ended. */

import { type ChildProcess, spawn } from 'node:child_process';

export interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  /** `null` when a signal ended it. */
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly timedOut: boolean;
  readonly durationMs: number;
}

export interface ExecOptions {
  /** The whole environment; only a PATH when absent. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** 30 seconds when absent. */
  readonly timeoutMs?: number;
}

export interface Started {
  /** Of the command itself: nsenter(1) and unshare(1) replace themselves by what they run. */
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

export type Command = readonly [program: string, ...args: string[]];

const PATH = '/usr/sbin:/usr/bin:/sbin:/bin';

export function start(command: Command, options: ExecOptions = {}): Started {
  const [program, ...args] = command;
  const begin = process.hrtime.bigint();
  const child = spawn(program, args, { env: options.env ?? { PATH }, detached: true, stdio: 'pipe' });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text;
  });
  // A command that does not read its stdin to the end is no failure of the test's.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, options.timeoutMs ?? 30_000);
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode, signal) => {
      clearTimeout(timer);
      const durationMs = Number(process.hrtime.bigint() - begin) / 1e6;
      resolve({ ...output, exitCode, signal, timedOut, durationMs });
    });
  });
  return { child, ended };
}

export function exec(command: Command, options: ExecOptions = {}): Promise<Ended> {
  return start(command, options).ended;
}

/** Runs a step of the test itself, which must succeed; returns its stdout. */
export async function must(command: Command, options: ExecOptions = {}): Promise<string> {
  const ended = await exec(command, options);
  if (ended.exitCode === 0) return ended.stdout;
  throw new Error(`"${command.join(' ')}" failed (${ended.exitCode ?? ended.signal}): ${ended.stderr}${ended.stdout}`);
}

/** Asks again and again until `probe` returns something other than undefined; fails after `timeoutMs`. */
export async function until<T>(what: string, probe: () => Promise<T | undefined>, timeoutMs = 5_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
