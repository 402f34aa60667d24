/**
 * flannel: makes of flanneld's subnet.env the configuration of another plugin, bridge as a rule, and has that do the
 * work. What it makes is decided in ./plan.ts; here is what happens around the delegate, and what DEL does without it.
 */
import { releaseAttachment } from '../../lib/attachment/collect.ts';
import { knownRecord, storeOf } from '../../lib/attachment/of-call.ts';
import { delegate, requirePlugin, runsInProcess, uninterrupted } from '../../lib/cni/delegate.ts';
import { asCniError, CniError, code, combineErrors, messageOf } from '../../lib/cni/errors.ts';
import { encodeCompact, isObject, type JsonObject } from '../../lib/cni/json.ts';
import type { Call, Plugin, Verb } from '../../lib/cni/plugin.ts';
import { prevResultIfReadable, rawPrevResult } from '../../lib/cni/prev-result.ts';
import type { Result } from '../../lib/cni/result.ts';
import { transaction } from '../../lib/cni/transaction.ts';
import { attachmentKeys, validAttachments } from '../../lib/cni/valid-attachments.ts';
import { environmentOf, planDelegate, withKeys } from './plan.ts';
import { type FlannelConfig, parseConfig } from './schema.ts';
import { FIRST_IFNAME, readState, removeDead, removeState, type StateOf, writeState } from './state.ts';
import type { SubnetEnv } from './subnet-env.ts';
import { awaitSubnetFile, readSubnetFile } from './subnet-file.ts';

export const flannel: Plugin = { name: 'flannel', add, check, del, gc, status };

async function add(call: Call): Promise<Result> {
  const config = parseConfig(call);
  const env = await awaitSubnetFile(config.subnetFile, config.waitMs, call.host);
  const delegated = planDelegate(call.config, config, env);
  // Also tells, before anything is written, that there is no such plugin.
  const isOurs = runsInProcess(call, config.type);
  const state = stateOf(call, config);
  const former = readState(state);
  const letGo = writeState(state, delegated);
  try {
    return await addDelegate(call, delegated, { state, former: isObject(former) ? former : undefined, isOurs });
  } finally {
    letGo();
  }
}

interface Adding {
  readonly state: StateOf;
  /** What an earlier ADD of the attachment had stored; it may live. */
  readonly former: JsonObject | undefined;
  readonly isOurs: boolean;
}

/** State first: whatever happens after it, DEL knows what to do. It goes only with what it speaks of. */
async function addDelegate(call: Call, delegated: JsonObject, { state, former, isOurs }: Adding): Promise<Result> {
  return await transaction(call.host, async (tx) => {
    // A plugin of ours undoes its own; of others, whatever is refused for an attachment that lives must not end that.
    let mayBeLeft = !isOurs && former === undefined;
    tx.onFailure('take back what the delegate did', async () => {
      if (mayBeLeft) await callDelegate(uninterrupted(call), 'DEL', delegated);
      if (former === undefined) removeState(state);
      else writeState(state, former)();
    });
    const result = await tx.step(() => callDelegate(call, 'ADD', delegated));
    mayBeLeft = true;
    if (result !== undefined) return result;
    throw new RangeError('ADD of a delegate without a result');
  });
}

async function check(call: Call): Promise<void> {
  const config = parseConfig(call);
  const { delegated } = storedOr(call, config, () => readSubnetFile(config.subnetFile));
  await callDelegate(call, 'CHECK', withKeys(delegated, call.config, { prevResult: rawPrevResult(call.config) }));
}

/** With what ADD stored, or with what can be told without. The state goes last: a second try has to know as much. */
async function del(call: Call): Promise<void> {
  const config = parseConfig(call);
  const { delegated, isStored } = storedOr(call, config, () => environmentLeft(call, config));
  const isReadable = prevResultIfReadable(call.config) !== undefined;
  const previous = isReadable ? { prevResult: rawPrevResult(call.config) } : {};
  try {
    await callDelegate(call, 'DEL', withKeys(delegated, call.config, previous));
  } catch (error) {
    if (isStored || isToBeTriedAgain(error)) throw error;
    await releaseByContainer(call, error);
  }
  removeState(stateOf(call, config));
}

/** What the runtime does not list: the delegate's part, then what is stored of it. */
async function gc(call: Call): Promise<void> {
  const valid = validAttachments(call.config);
  const config = parseConfig(call);
  const delegated = planDelegate(call.config, config, environmentLeft(call, config));
  await callDelegate(call, 'GC', withKeys(delegated, call.config, attachmentKeys(call.config)));
  removeDead({ dataDir: config.dataDir, network: call.config.name, valid });
}

/** Code 50 makes the node unready, instead of every pod failing on it. */
async function status(call: Call): Promise<void> {
  const config = parseConfig(call);
  const env = readyEnvironment(config);
  requirePlugin(config.type, call.path);
  await callDelegate(call, 'STATUS', planDelegate(call.config, config, env));
}

function readyEnvironment({ subnetFile }: FlannelConfig): SubnetEnv {
  try {
    return readSubnetFile(subnetFile);
  } catch (error) {
    const { message, details } = asCniError(error);
    throw new CniError(code.pluginNotAvailable, message, { details, cause: error });
  }
}

/** For verbs that go on without flanneld. */
function environmentLeft({ config }: Call, { subnetFile }: FlannelConfig): SubnetEnv {
  try {
    return readSubnetFile(subnetFile);
  } catch {
    // Missing, half-written or damaged: nothing of that may keep an attachment alive.
    return environmentOf(prevResultIfReadable(config));
  }
}

interface Delegated {
  readonly delegated: JsonObject;
  /** By ADD; made anew otherwise. */
  readonly isStored: boolean;
}

function storedOr(call: Call, config: FlannelConfig, environment: () => SubnetEnv): Delegated {
  const stored = readState(stateOf(call, config));
  if (isObject(stored) && isConfiguration(stored)) return { delegated: stored, isStored: true };
  if (stored !== undefined) {
    const whose = `${call.containerId} ${call.ifname}`;
    call.host.warn(`flannel: the state file of ${whose} in ${config.dataDir} is damaged: its content is made anew`);
  }
  return { delegated: planDelegate(call.config, config, environment()), isStored: false };
}

function isConfiguration({ type, name }: JsonObject): boolean {
  return typeof type === 'string' && type !== flannel.name && typeof name === 'string';
}

function stateOf(call: Call, { dataDir }: FlannelConfig): StateOf {
  const { containerId, ifname } = call;
  const hasOtherFirst = () => knownRecord(storeOf(call), { ...call, ifname: FIRST_IFNAME }) !== undefined;
  return { dataDir, containerId, ifname, hasOtherFirst };
}

function callDelegate(call: Call, verb: Verb, delegated: JsonObject): Promise<Result | undefined> {
  return delegate(call, { type: String(delegated.type), verb, stdin: encodeCompact(delegated) });
}

/** An ADD is still at work, or a SIGTERM came. */
function isToBeTriedAgain(error: unknown): boolean {
  return error instanceof CniError && (error.code === code.tryAgainLater || error.code === code.interrupted);
}

/** The delegate cannot do it with what is left to tell it: links, rules and addresses go by what is recorded of them. */
async function releaseByContainer(call: Call, error: unknown): Promise<void> {
  const { containerId, ifname, host } = call;
  const { dataDir, network } = storeOf(call);
  const why = 'its runtime deletes it';
  const { errors } = await releaseAttachment({ dataDir, network, containerId, ifname, host, why });
  if (errors.length > 0) throw combineErrors([error, ...errors]);
  host.warn(`flannel: released ${containerId} ${ifname} by its records, without the delegate: ${messageOf(error)}`);
}
