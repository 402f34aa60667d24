/** Starting one plugin the way a runtime does: environment, stdin, deadline, and its answer or error. */
import { delegate, findPlugin, UnknownOutcomeError } from '../cni/delegate.ts';
import { asCniError, CniError, code } from '../cni/errors.ts';
import { isObject } from '../cni/json.ts';
import type { Call, Host, Verb } from '../cni/plugin.ts';
import { type Environment, parseNetConf } from '../cni/request.ts';
import type { Result } from '../cni/result.ts';
import { NEWEST } from '../cni/version.ts';
import { runPlugin } from '../exec.ts';
import type { Attachment } from './attachment.ts';
import type { PluginConf } from './network.ts';

/** Longer than the time a plugin gives its own IPAM plugin for an ADD and the DEL that undoes it. */
const TIMEOUT_MS = 300_000;

export interface Runtime {
  /** Folders of CNI_PATH. */
  readonly path: readonly string[];
  /** Folder of the result cache's `results`. */
  readonly cacheDir: string;
  /** What plugins inherit; CNI_* is set for each call. */
  readonly env: Environment;
  readonly host: Pick<Host, 'warn' | 'checkpoint'>;
}

export interface Execution {
  readonly verb: Verb;
  readonly plugin: PluginConf;
  readonly stdin: string;
  /** Absent for the verbs that are about no container. */
  readonly attachment?: Attachment;
}

/** Runs the plugin; its result for ADD. A failure says which plugin and verb, in libcni's words. */
export async function execute(runtime: Runtime, execution: Execution): Promise<Result | undefined> {
  const { verb, plugin, stdin } = execution;
  try {
    return await delegate(makeCall(runtime, execution), { type: plugin.type, verb, stdin, timeoutMs: TIMEOUT_MS });
  } catch (error) {
    // Those name the plugin already.
    if (error instanceof UnknownOutcomeError) throw error;
    const { code: number, message, details } = asCniError(error);
    throw new CniError(number, `plugin ${describe(plugin)} failed (${VERB_WORD[verb]}): ${message}`, {
      details,
      cause: error,
    });
  }
}

const VERB_WORD: Record<Verb, string> = { ADD: 'add', CHECK: 'check', DEL: 'delete', GC: 'gc', STATUS: 'status' };

function describe({ type, name }: PluginConf): string {
  return `type=${JSON.stringify(type)}${name === '' ? '' : ` name=${JSON.stringify(name)}`}`;
}

/** A call like the one a plugin hands to its delegates, without plugins of ours to run in this process. */
function makeCall({ path, env, host }: Runtime, { verb, stdin, attachment }: Execution): Call {
  const { containerId = '', netns = '', ifname = '', args = [] } = attachment ?? {};
  const argsText = args.map((pair) => pair.join('=')).join(';');
  const variables = {
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_ARGS: argsText,
    CNI_IFNAME: ifname,
    CNI_PATH: path.join(':'),
  };
  return {
    verb,
    containerId,
    netns,
    ifname,
    args: argsText,
    path,
    config: parseNetConf(stdin),
    stdin,
    env: { ...env, ...variables },
    host: { ...host, builtins: new Map() },
  };
}

/** The specification versions that the plugin says it knows. */
export async function supportedVersions(runtime: Runtime, type: string): Promise<readonly string[]> {
  const path = findPlugin(type, runtime.path);
  // Plugins from before VERSION existed want these set.
  const dummies = { CNI_CONTAINERID: '', CNI_ARGS: '', CNI_NETNS: 'dummy', CNI_IFNAME: 'dummy', CNI_PATH: 'dummy' };
  const env = { ...runtime.env, ...dummies, CNI_COMMAND: 'VERSION' };
  const stdin = JSON.stringify({ cniVersion: NEWEST });
  const { stdout, stderr, failure } = await runPlugin(path, { env, stdin, timeoutMs: TIMEOUT_MS });
  const versions = readVersions(stdout);
  if (versions !== undefined) return versions;
  const said = [failure, stderr.trim(), stdout.trim().slice(0, 400)].filter((text) => text !== '').join('; ');
  throw new CniError(code.delegateFailed, `plugin "${type}" does not say which versions it supports`, {
    details: `executed ${path} with CNI_COMMAND=VERSION${said === '' ? '' : `: ${said}`}`,
  });
}

/** VERSION's answer, and how the two oldest specifications answered. */
function readVersions(stdout: string): readonly string[] | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(stdout);
  } catch {
    // Whatever it printed, it is no answer; the caller shows it.
    return undefined;
  }
  if (!isObject(answer)) return undefined;
  const { supportedVersions: versions } = answer;
  if (Array.isArray(versions) && versions.every((version) => typeof version === 'string')) return versions;
  if (answer.cniVersion === '0.2.0') return ['0.1.0', '0.2.0'];
  return answer.msg === 'unknown CNI_COMMAND: VERSION' ? ['0.1.0'] : undefined;
}
