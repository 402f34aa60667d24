/** Who joins a bridge keeps out who would heal it, and not those who join it too. */

import { rmSync, writeFileSync } from 'node:fs';
import { beforeEach, expect, test, vi } from 'vitest';
import { RUN_FOLDER } from '../../../../lib/attachment/run-folder.ts';
import { lockBridge } from '../../../../plugins/bridge/bridge-lock.ts';
import { fakeCall } from '../../lib/cni/fake-call.ts';

const { host } = fakeCall({});

beforeEach(() => {
  rmSync(RUN_FOLDER, { recursive: true, force: true });
});

test('two share a bridge; one alone has it when the other is done', async () => {
  using one = await lockBridge(host, 'cni0');
  const two = await lockBridge(host, 'cni0');
  let isAlone = false;
  const waiting = one.makeExclusive().then(() => {
    isAlone = true;
  });
  await vi.waitFor(() => expect(isAlone).toBe(false));
  two[Symbol.dispose]();
  await waiting;
  expect(isAlone).toBe(true);
});

test('another bridge is another lock', async () => {
  using one = await lockBridge(host, 'cni0');
  await one.makeExclusive();
  using two = await lockBridge(host, 'cni1');
  await two.makeExclusive();
});

test('where /run cannot be written an ADD goes on without', async () => {
  // A file in the folder's place stops root as well.
  writeFileSync(RUN_FOLDER, '');
  using lock = await lockBridge(host, 'cni0');
  await expect(lock.makeExclusive()).resolves.toBeUndefined();
  rmSync(RUN_FOLDER);
});
