/** The bridge's delegate for addresses: any IPAM plugin in CNI_PATH, ours in this very process. */
import { delegate, UnknownOutcomeError, uninterrupted } from '../../lib/cni/delegate.ts';
import { CniError, code, messageOf } from '../../lib/cni/errors.ts';
import type { Call, Verb } from '../../lib/cni/plugin.ts';
import type { Result } from '../../lib/cni/result.ts';
import type { Transaction } from '../../lib/cni/transaction.ts';
import type { BridgeConfig } from './schema.ts';

const NOTHING: Result = { interfaces: [], ips: [], routes: [], dns: {} };

/** Addresses for the attachment; an empty result for a layer 2 bridge. They are released when a later step fails. */
export async function addIpam(call: Call, config: BridgeConfig, tx: Transaction): Promise<Result> {
  if (config.ipamType === '') return NOTHING;
  const result = await tx.step(() => addOrRelease(call, config));
  tx.onFailure('release the addresses', () => askIpam(uninterrupted(call), config, 'DEL'));
  if (result === undefined || result.ips.length === 0) {
    throw new CniError(code.delegateFailed, 'IPAM plugin returned missing IP config', {
      details: `"${config.ipamType}" answered without an address; check the "ipam" section`,
    });
  }
  return result;
}

/** One that crashed or hung may have reserved something; one that refused has reserved nothing that is ours. */
async function addOrRelease(call: Call, config: BridgeConfig): Promise<Result | undefined> {
  try {
    return await callIpam(call, config, 'ADD');
  } catch (error) {
    if (error instanceof UnknownOutcomeError) throw await afterRelease(call, config, error);
    throw error;
  }
}

async function afterRelease(call: Call, config: BridgeConfig, error: CniError): Promise<CniError> {
  try {
    await askIpam(uninterrupted(call), config, 'DEL');
    return error;
  } catch (failure) {
    const details = [error.details, `could not release the addresses: ${messageOf(failure)}`].join('; ');
    return new CniError(error.code, error.message, { details, cause: error });
  }
}

/** CHECK, DEL, STATUS and GC of the IPAM plugin; nothing for a layer 2 bridge. */
export async function askIpam(call: Call, config: BridgeConfig, verb: Exclude<Verb, 'ADD'>): Promise<void> {
  if (config.ipamType !== '') await callIpam(call, config, verb);
}

function callIpam(call: Call, config: BridgeConfig, verb: Verb): Promise<Result | undefined> {
  return delegate(call, { type: config.ipamType, verb, timeoutMs: config.ipamTimeoutMs });
}
