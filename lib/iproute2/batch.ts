/**
 * Many `ip` commands in one process: `ip -batch -`. Not atomic: ip stops at the first bad line and keeps what the
 * lines before it did (ip(8)), so whoever sends a batch knows how to undo it.
 */
import { CniError, code } from '../cni/errors.ts';
import { run, ToolError } from '../exec.ts';

/** One command, as words: `['link', 'set', 'dev', 'cni0', 'up']`. */
export type IpCommand = readonly string[];

/** Sends `commands` in one batch to the namespace of this thread. Throws ToolError, whose stderr ip wrote. */
export function runBatch(commands: readonly IpCommand[]): void {
  if (commands.length > 0) run('ip', ['-batch', '-'], { input: renderBatch(commands) });
}

/**
 * The same, with what the `show` commands among them print, as query() gives it. Throws ToolError: what the commands
 * before the bad one printed is in its stdout.
 */
export function runAndShow<T>(commands: readonly IpCommand[]): T[][] {
  return parseJsonLines(run('ip', ['-details', '-json', '-batch', '-'], { input: renderBatch(commands) }));
}

/** One command of bridge(8): `['vlan', 'add', 'dev', 'veth1', 'vid', '5', 'master']`. */
export type BridgeCommand = readonly string[];

/** The same for bridge(8). Throws ToolError. */
export function runBridgeBatch(commands: readonly BridgeCommand[]): void {
  if (commands.length > 0) run('bridge', ['-batch', '-'], { input: renderBatch(commands) });
}

/** The input of `ip -batch -`. */
export function renderBatch(commands: readonly IpCommand[]): string {
  return commands.map((words) => `${words.map(batchWord).join(' ')}\n`).join('');
}

/** ip's reader knows quotes but no escapes, cuts a line at `#` even inside quotes, and joins lines at a backslash. */
function batchWord(word: string): string {
  if (/^[^\s"'#\\\p{Cc}]+$/u.test(word)) return word;
  throw new CniError(
    code.invalidConfig,
    `cannot hand ${JSON.stringify(word)} to ip: it holds a character that ip's batch input has no form for`,
    {
      details: 'use names without spaces, quotes, # and backslashes',
    },
  );
}

/**
 * What `ip -json` prints for each of `queries` (`link show …`, `addr show …`, `route show …`), in order; for a device
 * that does not exist nothing. Throws ToolError for any other failure.
 */
export function query<T>(queries: readonly IpCommand[], options: { details?: boolean } = {}): T[][] {
  return parseJsonLines(runQuery(queries, options.details === true ? ['-details'] : []));
}

function runQuery(queries: readonly IpCommand[], flags: readonly string[]): string {
  try {
    return run('ip', [...flags, '-json', '-force', '-batch', '-'], { input: renderBatch(queries) });
  } catch (error) {
    if (error instanceof ToolError && error.exitCode === 1 && isAboutMissingDevices(error.stderr)) return error.stdout;
    throw error;
  }
}

/** The last of the three is the kernel's: the device went between ip's looking it up and its request. */
function isAboutMissingDevices(stderr: string): boolean {
  const lines = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('Command failed'));
  return lines.length > 0 && lines.every((line) => /does not exist|Cannot find device|No such device/.test(line));
}

/** ip prints one JSON array a line; a missing device leaves no line. */
function parseJsonLines<T>(text: string): T[][] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => JSON.parse(line) as T[]);
}
