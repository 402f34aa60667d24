import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readCursor, writeCursor } from '../../../../ipam/host-local/cursor.ts';
import { createStore } from '../../../../lib/attachment/store.ts';
import { filesOf, ip, temporaryFolder, temporaryStore } from './support.ts';

function openStore() {
  const opened = temporaryStore();
  createStore(opened.store);
  return { ...opened, path: `${opened.store.leases}/last_reserved_ip.0` };
}

test('writeCursor() writes the address alone with mode 0600, and readCursor() reads it', () => {
  const { store, dataDir, path } = openStore();
  writeCursor(store, 0, ip('10.1.0.200'));
  writeCursor(store, 0, ip('fd00::9'));
  expect(filesOf(dataDir)).toEqual({ 'net1/last_reserved_ip.0': 'fd00::9' });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readCursor(store, 0)?.text).toBe('fd00::9');
  expect(readCursor(store, 1)).toBeUndefined();
});

describe('readCursor()', () => {
  test.each(['', 'rubbish', '10.1.0.5\n', '\0'.repeat(9), '10.1.0.5'.padEnd(2_000_000)])('ignores %j', (text) => {
    const { store, host, path } = openStore();
    writeFileSync(path, text);
    expect(readCursor(store, 0)).toBeUndefined();
    expect(host.warnings).toEqual([]);
  });

  test('ignores a folder and a symbolic link', () => {
    const { store, path } = openStore();
    mkdirSync(path);
    expect(readCursor(store, 0)).toBeUndefined();
    const outside = `${temporaryFolder()}/address`;
    writeFileSync(outside, '10.1.0.5');
    symlinkSync(outside, `${store.leases}/last_reserved_ip.1`);
    expect(readCursor(store, 1)).toBeUndefined();
  });
});

describe('writeCursor()', () => {
  test('replaces a symbolic link instead of writing where it leads', () => {
    const { store, path } = openStore();
    const outside = `${temporaryFolder()}/victim`;
    writeFileSync(outside, 'precious');
    symlinkSync(outside, path);
    writeCursor(store, 0, ip('10.1.0.5'));
    expect(readFileSync(outside, 'utf8')).toBe('precious');
    expect(readCursor(store, 0)?.text).toBe('10.1.0.5');
  });

  test('warns, and leaves no draft, where a folder is in the way', () => {
    const { store, host, path } = openStore();
    mkdirSync(path);
    writeCursor(store, 0, ip('10.1.0.5'));
    expect(host.warnings).toEqual([expect.stringContaining(`cannot write ${path}`)]);
    expect(readdirSync(store.drafts)).toEqual([]);
  });
});
