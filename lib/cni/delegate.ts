/**
 * Calling another plugin (SPEC.md "Section 4: Plugin Delegation"): found in CNI_PATH, given our environment and stdin.
 * One that turns out to be this very build runs in this process instead: the same work without a second start.
 */
import { statSync } from 'node:fs';
import { type PluginOutcome, runPlugin } from '../exec.ts';
import { noteStep } from '../journal/observer.ts';
import { buildId } from '../sea/build-info.ts';
import { readBuildId } from '../sea/trailer.ts';
import { parseResult, renderResult } from './convert.ts';
import { asCniError, CniError, code } from './errors.ts';
import { encodeCompact, isObject } from './json.ts';
import { quoteShort } from './names.ts';
import type { Call, Plugin, Verb } from './plugin.ts';
import { parseNetConf } from './request.ts';
import type { Result } from './result.ts';

const DEFAULT_DELEGATE_TIMEOUT_MS = 120_000;

export interface Delegation {
  /** The delegate's plugin type: its file name in CNI_PATH. */
  readonly type: string;
  readonly verb: Verb;
  /** The configuration it gets; the caller's own when absent. */
  readonly stdin?: string;
  readonly timeoutMs?: number;
}

/** A delegate that crashed, hung or answered nonsense may have done anything: the caller should run its DEL. */
export class UnknownOutcomeError extends CniError {}

/** Runs the delegate; its result for ADD, `undefined` for other verbs. Its own error passes through as it is. */
export async function delegate(call: Call, delegation: Delegation): Promise<Result | undefined> {
  const path = findPlugin(delegation.type, call.path);
  const builtin = builtinAt(path, call, delegation.type);
  if (builtin !== undefined) {
    const what = `${delegation.type} ${delegation.verb}`;
    noteStep(what);
    const result = await runInProcess(builtin, call, delegation);
    noteStep(`after ${what}`);
    return result;
  }
  const stdin = delegation.stdin ?? call.stdin;
  // A path that leads to the host's own namespace was taken from the call; the delegate must not get it either.
  const netns = call.env.CNI_NETNS === undefined ? {} : { CNI_NETNS: call.netns };
  const env = { ...call.env, ...netns, CNI_COMMAND: delegation.verb };
  const timeoutMs = delegation.timeoutMs ?? DEFAULT_DELEGATE_TIMEOUT_MS;
  const outcome = await runPlugin(path, { env, stdin, timeoutMs });
  return readAnswer(outcome, call, { ...delegation, path, timeoutMs });
}

/** True when `type` is a plugin of ours that is run in this process: its failed ADD has taken back what it did. */
export function runsInProcess(call: Call, type: string): boolean {
  return builtinAt(findPlugin(type, call.path), call, type) !== undefined;
}

function builtinAt(path: string, { host }: Call, type: string): Plugin | undefined {
  // This executable, or a copy of it.
  return readBuildId(path) === buildId ? host.builtins.get(type) : undefined;
}

/** For undoing: a SIGTERM may be what is being undone, and must not end the wait for a lock, or a lease stays. */
export function uninterrupted(call: Call): Call {
  return { ...call, host: { ...call.host, checkpoint: async () => {} } };
}

/** For STATUS: throws code 50 when there is no plugin called `type`. */
export function requirePlugin(type: string, folders: readonly string[]): void {
  try {
    findPlugin(type, folders);
  } catch (error) {
    const { message, details } = asCniError(error);
    throw new CniError(code.pluginNotAvailable, message, { details, cause: error });
  }
}

/** The first regular file called `type` in the folders of CNI_PATH. Throws code 104 or 7. */
export function findPlugin(type: string, folders: readonly string[]): string {
  if (type === '')
    throw new CniError(code.invalidConfig, 'no plugin name provided', { details: 'set "type" in the configuration' });
  if (/[/\0]/.test(type) || type === '.' || type === '..') {
    throw new CniError(code.invalidConfig, `invalid plugin name: ${quoteShort(type)}`, {
      details: 'a plugin type is a file name in CNI_PATH',
    });
  }
  const path = folders.map((folder) => `${folder}/${type}`).find(isRegularFile);
  if (path !== undefined) return path;
  throw new CniError(code.delegateFailed, `failed to find plugin ${quoteShort(type)} in path [${folders.join(' ')}]`, {
    details: `install it there or correct "type"; CNI_PATH names the folders that are searched`,
  });
}

function isRegularFile(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
  } catch {
    // A folder that we may not search holds no plugin for us.
    return false;
  }
}

async function runInProcess(plugin: Plugin, call: Call, { verb, stdin }: Delegation): Promise<Result | undefined> {
  const config = stdin === undefined ? call.config : parseNetConf(stdin);
  const inner: Call = { ...call, verb, config, stdin: stdin ?? call.stdin };
  switch (verb) {
    case 'ADD': {
      // Through the version's own shape and back, so that both ways lose the same.
      const rendered = renderResult(await plugin.add(inner), config.cniVersion);
      return parseResult(rendered, config.cniVersion, `result of ${plugin.name}`);
    }
    case 'CHECK':
      await plugin.check(inner);
      return undefined;
    case 'DEL':
      await plugin.del(inner);
      return undefined;
    case 'GC':
      await plugin.gc(inner);
      return undefined;
    case 'STATUS':
      await plugin.status(inner);
      return undefined;
    default:
      throw verb satisfies never;
  }
}

interface Started extends Delegation {
  readonly path: string;
  readonly timeoutMs: number;
}

function readAnswer(outcome: PluginOutcome, call: Call, started: Started): Result | undefined {
  const { type, verb, path, timeoutMs } = started;
  if (outcome.timedOut) {
    throw unknownOutcome(
      started,
      `it did not end within ${timeoutMs / 1000} s and was killed with its children`,
      outcome,
    );
  }
  if (outcome.exitCode !== 0) throw delegateError(outcome, started);
  if (outcome.stderr !== '') call.host.warn(outcome.stderr.trimEnd());
  if (verb !== 'ADD') return undefined;
  const answer = parseJson(outcome.stdout);
  if (answer === undefined) throw unknownOutcome({ ...started, path }, 'it printed no JSON result', outcome);
  try {
    return parseResult(answer, ownVersion(answer) ?? call.config.cniVersion, `result of ${type}`);
  } catch (error) {
    throw unknownOutcome(
      started,
      error instanceof CniError ? error.message : 'its result has the wrong shape',
      outcome,
    );
  }
}

/** A delegate may answer in another version than it was asked in; without one, the configuration's is meant. */
function ownVersion(answer: unknown): string | undefined {
  const version = isObject(answer) ? answer.cniVersion : undefined;
  return typeof version === 'string' && version !== '' ? version : undefined;
}

/** The delegate's own error object, passed on as it is; whatever else it said or did not say is of unknown outcome. */
function delegateError(outcome: PluginOutcome, started: Started): CniError {
  const answer = parseJson(outcome.stdout);
  if (isObject(answer) && typeof answer.code === 'number' && typeof answer.msg === 'string') {
    return new CniError(answer.code, answer.msg, { details: typeof answer.details === 'string' ? answer.details : '' });
  }
  const how =
    outcome.exitCode === undefined ? outcome.failure : `it ended with status ${outcome.exitCode} and no error object`;
  return unknownOutcome(started, how, outcome);
}

function unknownOutcome({ type, verb, path }: Started, how: string, outcome: PluginOutcome): UnknownOutcomeError {
  const said = [outcome.stderr, outcome.stdout].map((text) => text.trim().slice(0, 400)).filter((text) => text !== '');
  return new UnknownOutcomeError(
    code.delegateFailed,
    `plugin ${quoteShort(type)} failed (${verb.toLowerCase()}): ${how}`,
    {
      details: [`executed ${path}`, ...said.map((text) => encodeCompact(text))].join('; '),
    },
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: the caller says what that means.
    return undefined;
  }
}
