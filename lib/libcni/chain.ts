/**
 * The verbs of a runtime over a whole network: its plugins in order, each given what the one before it answered
 * (SPEC.md "Section 3: Execution of Network Configurations"; gates and errors are libcni's).
 */
import { renderResult } from '../cni/convert.ts';
import { findPlugin } from '../cni/delegate.ts';
import { asCniError, CniError, code, combineErrors, messageOf } from '../cni/errors.ts';
import type { JsonObject } from '../cni/json.ts';
import type { Result } from '../cni/result.ts';
import { atLeast, DEFAULT_VERSION } from '../cni/version.ts';
import { type Attachment, buildStdin, requireAttachment } from './attachment.ts';
import { type CachedAttachment, isCached, readCache, removeCache, writeCache } from './cache.ts';
import { execute, type Runtime } from './execute.ts';
import type { Network, PluginConf } from './network.ts';

/**
 * Attaches the container; the last plugin's result. When a later plugin fails, those before it are undone (libcni
 * leaves that to the next DEL). When the first one fails, or an earlier ADD of the attachment was followed by no DEL,
 * nothing is: what is in its way may be alive.
 */
export async function addNetwork(runtime: Runtime, network: Network, attachment: Attachment): Promise<Result> {
  requireAttachment(network, attachment);
  // All of them before the first is run, so that a missing one costs nothing.
  for (const { type } of network.plugins) findPlugin(type, runtime.path);
  const wasAttached = isCached(runtime.cacheDir, network, attachment);
  const done: PluginConf[] = [];
  let result: Result | undefined;
  try {
    for (const plugin of network.plugins) {
      await runtime.host.checkpoint();
      const extras = { prevResult: rendered(network, result), capabilityArgs: attachment.capabilityArgs };
      const stdin = buildStdin(network, plugin, extras);
      result = (await execute(runtime, { verb: 'ADD', plugin, stdin, attachment })) ?? result;
      done.push(plugin);
    }
    if (result === undefined) throw new CniError(code.invalidConfig, `network "${network.name}" has no plugins`);
    const answer = renderResult(result, network.cniVersion);
    writeCache(runtime.cacheDir, network, { ...attachment, result: answer });
    return result;
  } catch (error) {
    if (done.length === 0) throw error;
    throw wasAttached ? leftAlone(error) : await undo(runtime, network, { attachment, done, result, error });
  }
}

function leftAlone(error: unknown): CniError {
  const { code: number, message, details } = asCniError(error);
  const hint = 'nothing is undone, since this container was added before: run DEL, then ADD';
  return new CniError(number, message, { details: details === '' ? hint : `${details}; ${hint}`, cause: error });
}

interface Undo {
  readonly attachment: Attachment;
  /** The plugins whose ADD succeeded. */
  readonly done: readonly PluginConf[];
  readonly result: Result | undefined;
  readonly error: unknown;
}

/** DEL of the plugins that were run; returns the error to throw, which says whether that worked. */
async function undo(runtime: Runtime, network: Network, { attachment, done, result, error }: Undo): Promise<CniError> {
  const prevResult = hasPrevResult(network) ? rendered(network, result) : undefined;
  const failed = network.plugins.slice(done.length, done.length + 1);
  const errors: unknown[] = [error];
  // The failed one may have done half of its work; that it may refuse DEL as it refused ADD must not keep the others.
  for (const plugins of [failed, done]) {
    try {
      await deleteAll(runtime, { ...network, plugins }, { attachment, prevResult });
    } catch (second) {
      errors.push(second);
    }
  }
  const { code: number, message, details } = combineErrors(errors);
  const undone = errors.length === 1 ? 'what was done before it is undone' : 'run DEL once the cause is gone';
  const hint = details === '' ? undone : `${details}; ${undone}`;
  return new CniError(number, message, { details: hint, cause: error });
}

/** What CHECK did: `disabled` when the network's file says so. */
export type CheckOutcome = 'checked' | 'disabled';

/** Throws what the first plugin finds amiss. */
export async function checkNetwork(runtime: Runtime, network: Network, attachment: Attachment): Promise<CheckOutcome> {
  requireAttachment(network, attachment);
  if (!isAtLeast(network, '0.4.0')) {
    throw new CniError(
      code.incompatibleVersion,
      `configuration version ${JSON.stringify(network.cniVersion)} does not support the CHECK command`,
      { details: 'raise "cniVersion" to 0.4.0 or newer' },
    );
  }
  if (network.disableCheck) return 'disabled';
  const cached = readCache(runtime.cacheDir, network, attachment);
  const full = remembered(attachment, cached);
  for (const plugin of network.plugins) {
    await runtime.host.checkpoint();
    const stdin = buildStdin(network, plugin, { prevResult: cached?.result, capabilityArgs: full.capabilityArgs });
    await execute(runtime, { verb: 'CHECK', plugin, stdin, attachment: full });
  }
  return 'checked';
}

/** Detaches the container. As with libcni the first plugin that fails ends it, and the cache stays for the next try. */
export async function delNetwork(runtime: Runtime, network: Network, attachment: Attachment): Promise<void> {
  requireAttachment(network, attachment);
  const cached = readableCache(runtime, network, attachment);
  const prevResult = hasPrevResult(network) ? cached?.result : undefined;
  await deleteAll(runtime, network, { attachment: remembered(attachment, cached), prevResult });
  forget(runtime, network, attachment);
}

async function deleteAll(
  runtime: Runtime,
  network: Network,
  { attachment, prevResult }: { attachment: Attachment; prevResult: JsonObject | undefined },
): Promise<void> {
  for (const plugin of network.plugins.toReversed()) {
    const stdin = buildStdin(network, plugin, { prevResult, capabilityArgs: attachment.capabilityArgs });
    await execute(runtime, { verb: 'DEL', plugin, stdin, attachment });
  }
}

/** A damaged cache must not keep an attachment alive. */
function readableCache(runtime: Runtime, network: Network, attachment: Attachment): CachedAttachment | undefined {
  try {
    return readCache(runtime.cacheDir, network, attachment);
  } catch (error) {
    runtime.host.warn(`going on without the cached result: ${messageOf(error)}`);
    return undefined;
  }
}

function forget(runtime: Runtime, network: Network, attachment: Attachment): void {
  try {
    removeCache(runtime.cacheDir, network, attachment);
  } catch (error) {
    runtime.host.warn(`the container is detached, but its cached result stays: ${messageOf(error)}`);
  }
}

/** What the caller does not say again is what ADD was told; without it, DEL would not know the host ports to close. */
function remembered(attachment: Attachment, cached: CachedAttachment | undefined): Attachment {
  const args = attachment.args ?? cached?.args;
  const capabilityArgs = attachment.capabilityArgs ?? cached?.capabilityArgs;
  return {
    ...attachment,
    ...(args === undefined ? {} : { args }),
    ...(capabilityArgs === undefined ? {} : { capabilityArgs }),
  };
}

/** What STATUS can say: before version 1.1.0 no plugin can be asked. */
export type StatusOutcome = 'ready' | 'unknown';

/** Throws what keeps the first plugin that is not ready from attaching containers. */
export async function statusNetwork(runtime: Runtime, network: Network): Promise<StatusOutcome> {
  if (!isAtLeast(network, '1.1.0')) return 'unknown';
  for (const plugin of network.plugins) {
    await runtime.host.checkpoint();
    await execute(runtime, { verb: 'STATUS', plugin, stdin: buildStdin(network, plugin) });
  }
  return 'ready';
}

function rendered(network: Network, result: Result | undefined): JsonObject | undefined {
  return result === undefined ? undefined : renderResult(result, network.cniVersion);
}

/** DEL gets a prevResult since 0.4.0. */
function hasPrevResult(network: Network): boolean {
  return isAtLeast(network, '0.4.0');
}

function isAtLeast({ cniVersion }: Network, minimum: string): boolean {
  return atLeast(cniVersion === '' ? DEFAULT_VERSION : cniVersion, minimum);
}
