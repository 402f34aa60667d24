/** Network namespaces by path, as far as one can look without being root. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { code } from '../../../../lib/cni/errors.ts';
import { isOwnNetns, netnsState, openNetns } from '../../../../lib/linux/netns.ts';

let root: string;

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'netns-'));
  writeFileSync(join(root, 'stale'), '');
});

afterAll(() => rmSync(root, { recursive: true }));

test.each([
  ['/proc/self/ns/net', 'netns'],
  ['', 'absent'],
  ['none', 'absent'],
  ['stale/none', 'absent'],
  ['stale', 'other'],
  ['.', 'other'],
])('netnsState(%j) is %s', (path, state) => {
  expect(netnsState(path === '' || path.startsWith('/') ? path : join(root, path))).toBe(state);
});

test('isOwnNetns() knows the namespace of this process by any path', () => {
  expect(isOwnNetns('/proc/self/ns/net')).toBe(true);
  expect(isOwnNetns(`/proc/${process.pid}/ns/net`)).toBe(true);
});

test.each(['/proc/self/ns/mnt', '/no/such/path', ''])('isOwnNetns(%j) is false', (path) => {
  expect(isOwnNetns(path)).toBe(false);
});

test.each([
  ['none', 'no such file or directory'],
  ['stale', 'it is no network namespace'],
])('openNetns() says why it cannot open %j', (name, state) => {
  const path = join(root, name);
  expect(() => openNetns(path)).toThrow(
    expect.objectContaining({ code: code.invalidNetns, message: `failed to open netns "${path}": ${state}` }),
  );
});

test('openNetns() holds the namespace open until it is disposed of', () => {
  const netns = openNetns('/proc/self/ns/net');
  expect(isOwnNetns(netns.fdPath)).toBe(true);
  netns[Symbol.dispose]();
  expect(isOwnNetns(netns.fdPath)).toBe(false);
});
