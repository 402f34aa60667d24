/**
 * One call of one plugin, from environment and stdin to stdout, stderr and exit status, with nothing of the process
 * in between: the whole protocol can be tested in memory. Order of checks: the reference's (skel), but for the
 * plugin's own namespace, which is looked at before the work instead of after it.
 */
import { version } from '../sea/build-info.ts';
import { renderResult } from './convert.ts';
import { asCniError, CniError, code } from './errors.ts';
import { encode } from './json.ts';
import type { Call, Host, Plugin } from './plugin.ts';
import { type Environment, parseNetConf, readEnvironment, VERBS } from './request.ts';
import { DEFAULT_VERSION, isSpecVersion, NEWEST, requireVersion, SPEC_VERSIONS } from './version.ts';

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
  /** What stdout says went wrong. */
  readonly error?: CniError;
}

export interface Invocation {
  readonly plugin: Plugin;
  readonly env: Environment;
  /** Reads stdin to its end; not called for VERSION. */
  readonly readStdin: () => string | Promise<string>;
  readonly host: Host;
  /** Told of a call that is understood, before the plugin is. What it throws refuses the call. */
  readonly onCall?: (call: Call) => void;
  /** True when the path leads to the namespace this process is in. Throws code 8 when that cannot be told. */
  readonly isOwnNetns: (path: string) => boolean;
}

/** Runs the call; never throws. */
export async function dispatch(invocation: Invocation): Promise<Outcome> {
  const command = invocation.env.CNI_COMMAND ?? '';
  if (command === '') return { stdout: '', stderr: aboutText(invocation.plugin.name), exitCode: 0 };
  if (command === 'VERSION') return success(versionText());
  const seen = { version: NEWEST as string };
  try {
    return success(await answer(invocation, command, seen));
  } catch (error) {
    return failure(error, seen.version);
  }
}

/** What stdout gets for `error`: the error object of the specification. */
export function failure(error: unknown, cniVersion: string = NEWEST): Outcome {
  const known = asCniError(error);
  const { code: number, message, details } = known;
  const object = { cniVersion, code: number, msg: message, ...(details === '' ? {} : { details }) };
  return { stdout: encode(object), stderr: '', exitCode: 1, error: known };
}

async function answer(invocation: Invocation, command: string, seen: { version: string }): Promise<string> {
  const values = readEnvironment(invocation.env);
  const stdin = await readAll(invocation.readStdin);
  const config = parseNetConf(stdin);
  const verb = VERBS.find((known) => known === command);
  if (verb === undefined) {
    throw new CniError(code.invalidEnvironment, `unknown CNI_COMMAND: ${command.slice(0, 80)}`, {
      details: `known are ${[...VERBS, 'VERSION'].join(', ')}`,
    });
  }
  if (isSpecVersion(config.cniVersion)) seen.version = config.cniVersion;
  requireVersion(config.cniVersion === '' ? DEFAULT_VERSION : config.cniVersion, verb);
  const call: Call = { verb, ...values, config, stdin, env: invocation.env, host: invocation.host };
  invocation.onCall?.(call);
  return perform(invocation.plugin, withoutOwnNetns(call, invocation.isOwnNetns));
}

async function perform(plugin: Plugin, call: Call): Promise<string> {
  switch (call.verb) {
    case 'ADD':
      return encode(renderResult(await plugin.add(call), call.config.cniVersion));
    case 'CHECK':
      await plugin.check(call);
      return '';
    case 'DEL':
      await plugin.del(call);
      return '';
    case 'GC':
      await plugin.gc(call);
      return '';
    case 'STATUS':
      await plugin.status(call);
      return '';
    default:
      throw call.verb satisfies never;
  }
}

async function readAll(readStdin: Invocation['readStdin']): Promise<string> {
  try {
    return await readStdin();
  } catch (error) {
    if (error instanceof CniError) throw error;
    throw new CniError(code.ioFailure, `error reading from stdin: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * ADD into the plugin's own namespace is refused. For DEL such a path is one that leads to the container no more (a
 * process ID given again): what is left of the container goes, and no link of the host is touched.
 */
function withoutOwnNetns(call: Call, isOwnNetns: (path: string) => boolean): Call {
  const override = call.env.CNI_NETNS_OVERRIDE ?? '';
  if (call.verb !== 'ADD' && call.verb !== 'DEL') return call;
  if (call.netns === '' || override === '1' || override.toUpperCase() === 'TRUE') return call;
  if (!isOwnNetns(call.netns)) return call;
  if (call.verb === 'DEL') return { ...call, netns: '' };
  throw new CniError(code.invalidNetns, "plugin's netns and netns from CNI_NETNS should not be the same", {
    details: `CNI_NETNS=${call.netns} is the namespace of the host; CNI_NETNS_OVERRIDE=1 allows it`,
  });
}

function success(stdout: string): Outcome {
  return { stdout, stderr: '', exitCode: 0 };
}

function versionText(): string {
  return `${JSON.stringify({ cniVersion: NEWEST, supportedVersions: SPEC_VERSIONS })}\n`;
}

function aboutText(plugin: string): string {
  return `CNI ${plugin} plugin nodecni ${version}\nCNI protocol versions supported: ${SPEC_VERSIONS.join(', ')}\n`;
}
