/** Asking the IPAM plugin: when its addresses are released again, and when they must not be. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { delegate, UnknownOutcomeError } from '../../../../lib/cni/delegate.ts';
import { CniError } from '../../../../lib/cni/errors.ts';
import type { Result } from '../../../../lib/cni/result.ts';
import { transaction } from '../../../../lib/cni/transaction.ts';
import { addIpam, askIpam } from '../../../../plugins/bridge/ipam.ts';
import { emptyResult, fakeCall, fakeHost } from '../../lib/cni/fake-call.ts';
import { hostLocalResult } from '../../lib/cni/golden.ts';
import { configured } from './fixtures.ts';

vi.mock(import('../../../../lib/cni/delegate.ts'), async (original) => ({ ...(await original()), delegate: vi.fn() }));
const ask = vi.mocked(delegate);

const config = configured({ ipam: { type: 'host-local' }, ipamTimeoutSeconds: 5 });
const call = fakeCall();

beforeEach(() => {
  ask.mockReset();
});

/** ADD whose next step after the addresses fails with `failure`, if there is one. */
function add(failure?: Error, of = config): Promise<Result> {
  return transaction(fakeHost(), async (tx) => {
    const result = await addIpam(call, of, tx);
    if (failure !== undefined) throw failure;
    return result;
  });
}

function asked(): string[] {
  return ask.mock.calls.map(([, { verb }]) => verb);
}

test('addIpam() asks the plugin, with the deadline of the configuration', async () => {
  ask.mockResolvedValue(hostLocalResult);
  expect(await add()).toEqual(hostLocalResult);
  expect(ask.mock.calls).toEqual([[call, { type: 'host-local', verb: 'ADD', timeoutMs: 5000 }]]);
});

test('addIpam() and askIpam() ask nobody for a layer 2 bridge', async () => {
  expect(await add(undefined, configured())).toEqual(emptyResult);
  await askIpam(call, configured(), 'DEL');
  expect(ask).not.toHaveBeenCalled();
});

describe('the addresses are released', () => {
  test('when a later step fails', async () => {
    ask.mockResolvedValue(hostLocalResult);
    await expect(add(new Error('later'))).rejects.toThrow('later');
    expect(asked()).toEqual(['ADD', 'DEL']);
  });
  test.each([[emptyResult], [undefined]])('when the answer holds none (%j)', async (answer) => {
    ask.mockResolvedValue(answer);
    await expect(add()).rejects.toMatchObject({ code: 104, message: 'IPAM plugin returned missing IP config' });
    expect(asked()).toEqual(['ADD', 'DEL']);
  });
  test('once, when nobody knows what the plugin did', async () => {
    const crash = new UnknownOutcomeError(104, 'it crashed', { details: 'd' });
    ask.mockRejectedValueOnce(crash).mockResolvedValue(undefined);
    await expect(add()).rejects.toBe(crash);
    expect(asked()).toEqual(['ADD', 'DEL']);
  });
  test('also when it is a SIGTERM that ended the ADD, which every checkpoint tells of', async () => {
    const host = fakeHost({ checkpoint: () => Promise.reject(new CniError(105, 'interrupted by SIGTERM')) });
    ask.mockImplementation(async ({ host: { checkpoint } }, { verb }) => {
      if (verb === 'ADD') return hostLocalResult;
      await checkpoint();
      return undefined;
    });
    const adding = transaction(fakeHost(), async (tx) => {
      await addIpam(fakeCall({}, { host }), config, tx);
      await host.checkpoint();
    });
    await expect(adding).rejects.toMatchObject({ message: 'interrupted by SIGTERM', details: '' });
    expect(asked()).toEqual(['ADD', 'DEL']);
  });
  test('or it is told why not', async () => {
    ask.mockRejectedValueOnce(new UnknownOutcomeError(104, 'it crashed', { details: 'd' }));
    ask.mockRejectedValueOnce(new CniError(5, 'read-only'));
    await expect(add()).rejects.toMatchObject({
      code: 104,
      message: 'it crashed',
      details: 'd; could not release the addresses: read-only',
    });
  });
});

test('nothing is released when the plugin refuses: the lease may be that of the attachment that is there', async () => {
  const refusal = new CniError(101, 'duplicate allocation is not allowed');
  ask.mockRejectedValue(refusal);
  await expect(add()).rejects.toBe(refusal);
  expect(asked()).toEqual(['ADD']);
});

test.each(['CHECK', 'DEL', 'GC', 'STATUS'] as const)('askIpam() passes on what the plugin says to %s', async (verb) => {
  const refusal = new CniError(11, 'busy');
  ask.mockRejectedValue(refusal);
  await expect(askIpam(call, config, verb)).rejects.toBe(refusal);
  expect(asked()).toEqual([verb]);
});
