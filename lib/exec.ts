/**
 * The one door to child processes: argument arrays, never a shell, a bare environment, always a deadline. Tools by execa,
 * of which only the synchronous half is in the executable (./sea/execa.ts); what runs beside others, and other plugins, by
 * spawn().
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { execaSync } from 'execa';
import { endOf, MAX_OUTPUT_BYTES } from './child.ts';
import { CniError, code, hasErrno, messageOf } from './cni/errors.ts';
import { noteChild } from './journal/observer.ts';

/** Where tools live on every distribution; searched before PATH, which the runtime may set to anything or not at all. */
const TOOL_FOLDERS = ['/usr/sbin', '/sbin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/local/bin'];

/** What a tool's environment holds, whatever the runtime's holds. */
const TOOL_ENV = { PATH: TOOL_FOLDERS.join(':'), LC_ALL: 'C' };

const DEFAULT_TIMEOUT_MS = 30_000;

/** A tool ended with an exit status other than 0, a signal or its deadline. Plans look at `stderr` to tell races apart. */
export class ToolError extends CniError {
  readonly tool: string;
  /** `undefined` when a signal or the deadline ended it. */
  readonly exitCode: number | undefined;
  readonly stderr: string;
  /** What it printed before it failed. */
  readonly stdout: string;

  constructor(tool: string, { exitCode, stderr, stdout }: ToolOutput, how: string) {
    const said = firstSentence(stderr);
    super(code.toolFailed, `${tool} failed${said === '' ? '' : `: ${said}`}`, {
      details: [how, stderr.trim()].filter((text) => text !== '').join(': '),
    });
    this.tool = tool;
    this.exitCode = exitCode;
    this.stderr = stderr;
    this.stdout = stdout;
  }
}

/** iptables says its name and version first, on a line of its own that ends with a colon. */
function firstSentence(stderr: string): string {
  const lines = stderr.trim().split('\n');
  return (lines.find((line) => !line.trimEnd().endsWith(':')) ?? lines[0] ?? '').trim();
}

interface ToolOutput {
  readonly exitCode: number | undefined;
  readonly stderr: string;
  readonly stdout: string;
}

export interface RunOptions {
  /** Text for the tool's stdin. */
  readonly input?: string;
  readonly timeoutMs?: number;
}

/** Paths found before; a tool does not move while a plugin runs. */
const found = new Map<string, string>();

/** The path of `tool`, `undefined` when it is nowhere. */
export function findTool(tool: string): string | undefined {
  const known = found.get(tool);
  if (known !== undefined) return known;
  const fromPath = (process.env.PATH ?? '').split(':').filter((folder) => folder.startsWith('/'));
  for (const folder of [...TOOL_FOLDERS, ...fromPath]) {
    const path = `${folder}/${tool}`;
    if (isExecutable(path)) {
      found.set(tool, path);
      return path;
    }
  }
  return undefined;
}

function isExecutable(path: string): boolean {
  try {
    const stat = statSync(path, { throwIfNoEntry: false });
    return stat?.isFile() === true && (stat.mode & 0o111) !== 0;
  } catch {
    // A folder in PATH that cannot be searched, or is none, holds no tool for us.
    return false;
  }
}

/** Forgets what findTool() found: the startup snapshot must not carry the build machine's paths. */
export function forgetTools(): void {
  found.clear();
}

const STDIO = ['pipe', 'pipe', 'pipe'] as const;

/** Descriptors that tools get as well, under their numbers. */
const shared = new Set<number>();

/**
 * From now on the tools that are started share `fd`, until the returned function is called. A flock(2) on it is then held
 * until the last of them has ended, even where a kill leaves one to finish its work alone. Not for plugins, which may start
 * daemons.
 */
export function shareWithChildren(fd: number): () => void {
  shared.add(fd);
  return () => shared.delete(fd);
}

function stdioOfTool(): [...typeof STDIO, ...('inherit' | 'ignore')[]] {
  const others = Array.from({ length: Math.max(2, ...shared) - 2 }, (_, index) => index + STDIO.length);
  return [...STDIO, ...others.map((fd) => (shared.has(fd) ? 'inherit' : 'ignore'))];
}

/** Runs `tool` to its end, in the network namespace of this thread, and returns its stdout. Throws ToolError. */
export function run(tool: string, args: readonly string[], options: RunOptions = {}): string {
  const { path, input, timeoutMs } = prepare(tool, options);
  const ended = noteChild({ tool, args, input });
  const result = execaSync(path, args, {
    env: TOOL_ENV,
    extendEnv: false,
    input,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: MAX_OUTPUT_BYTES,
    reject: false,
    stripFinalNewline: false,
    stdio: stdioOfTool(),
  });
  ended(endingOf(result));
  if (!result.failed) return result.stdout;
  const { exitCode, stdout = '', stderr = '' } = result;
  throw new ToolError(tool, { exitCode, stdout, stderr }, howItEnded(tool, args, result, timeoutMs));
}

/**
 * The same for a tool that may run beside others: it has been started, in the network namespace that this thread is in now,
 * when this returns. Rejects as run() throws.
 */
export async function runBeside(tool: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { path, input, timeoutMs } = prepare(tool, options);
  const ended = noteChild({ tool, args, input });
  const start = () => spawn(path, args, { env: TOOL_ENV, stdio: stdioOfTool() });
  const ending = await endOf(start, { stdin: input, timeoutMs, kill: (child) => child.kill('SIGKILL') });
  ended(endingOf(ending));
  if (ending.exitCode === 0) return ending.stdout;
  throw new ToolError(tool, ending, howItEnded(tool, args, ending, timeoutMs));
}

function prepare(tool: string, { input = '', timeoutMs = DEFAULT_TIMEOUT_MS }: RunOptions) {
  const path = findTool(tool);
  if (path === undefined) throw missingTool(tool);
  return { path, input, timeoutMs };
}

interface Ending {
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly timedOut: boolean;
  readonly originalMessage?: string | undefined;
}

/** In a word: an exit status, a signal's name, or what kept it from either. */
function endingOf({ exitCode, signal, timedOut }: Ending): string {
  if (timedOut) return 'timed out';
  return exitCode === undefined ? (signal ?? 'not started') : String(exitCode);
}

function howItEnded(tool: string, args: readonly string[], ending: Ending, timeoutMs: number): string {
  const command = [tool, ...args].join(' ');
  if (ending.timedOut) return `"${command}" did not end within ${timeoutMs / 1000} s and was killed`;
  if (ending.signal !== undefined) return `"${command}" was ended by ${ending.signal}`;
  if (ending.exitCode !== undefined) return `"${command}" ended with status ${ending.exitCode}`;
  return `"${command}" could not be started: ${ending.originalMessage ?? 'unknown reason'}`;
}

const PACKAGES: { readonly [tool: string]: string } = {
  ip: 'iproute2',
  bridge: 'iproute2',
  conntrack: 'conntrack (conntrack-tools)',
  nft: 'nftables',
};

function missingTool(tool: string): CniError {
  return new CniError(code.toolFailed, `cannot find ${tool}`, {
    details: `install the package ${PACKAGES[tool] ?? 'iptables'}; searched ${TOOL_FOLDERS.join(', ')} and PATH`,
  });
}

export interface PluginOutcome {
  readonly stdout: string;
  readonly stderr: string;
  /** `undefined` when a signal or the deadline ended it. */
  readonly exitCode: number | undefined;
  readonly timedOut: boolean;
  /** Why it could not be started or what ended it, '' when it ended by itself. */
  readonly failure: string;
}

export interface PluginRun {
  /** The whole environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: string;
  readonly timeoutMs: number;
}

/** An executable that is being replaced is busy for a moment. The reference tries as often, at this pace. */
const BUSY_ATTEMPTS = 6;
const BUSY_PAUSE_MS = 1000;

/**
 * Runs another CNI plugin with `env` and `stdin`, in a process group of its own that is ended whole when the deadline
 * passes. Asynchronous, so that the deadline can reach the group and a SIGTERM is seen meanwhile.
 */
export async function runPlugin(path: string, plugin: PluginRun): Promise<PluginOutcome> {
  for (let attempt = 1; ; attempt += 1) {
    const { isBusy, ...outcome } = await runPluginOnce(path, plugin);
    if (!isBusy || attempt === BUSY_ATTEMPTS) return outcome;
    await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
  }
}

async function runPluginOnce(path: string, plugin: PluginRun): Promise<PluginOutcome & { isBusy: boolean }> {
  const ended = noteChild({ tool: path, args: [plugin.env.CNI_COMMAND ?? ''], input: '' });
  const start = () => spawn(path, { env: plugin.env, detached: true });
  const { signal, error, ...outcome } = await endOf(start, { ...plugin, kill: killGroup });
  ended(endingOf({ ...outcome, signal }));
  const failure = signal === undefined ? messageOf(error ?? '') : `ended by ${signal}`;
  return { ...outcome, failure, isBusy: hasErrno(error, 'ETXTBSY') };
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group ended by itself between the deadline and here.
  }
}
