/** Whose the leases are without reading them, and that a change by somebody else is noticed. */

import { readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { findLeases } from '../../../../lib/attachment/find.ts';
import {
  findOwned,
  indexedLeases,
  isSeen,
  markSeen,
  rebuildIndex,
  renderOwners,
} from '../../../../lib/attachment/index.ts';
import { createStore } from '../../../../lib/attachment/store.ts';
import { ownerOf, temporaryStore } from '../../ipam/host-local/support.ts';

function openStore() {
  const { store } = temporaryStore();
  createStore(store);
  return { store, path: (name: string) => `${store.leases}/${name}`, index: `${store.drafts}/owners` };
}

describe('isSeen()', () => {
  test('holds from markSeen() until somebody adds, removes or renames a file', () => {
    const { store, path } = openStore();
    expect(isSeen(store)).toBe(false);
    const changes = [
      () => writeFileSync(path('10.1.0.2'), ''),
      () => renameSync(path('10.1.0.2'), path('10.1.0.3')),
      () => rmSync(path('10.1.0.3')),
    ];
    for (const change of changes) {
      markSeen(store);
      expect(isSeen(store)).toBe(true);
      change();
      expect(isSeen(store)).toBe(false);
    }
  });

  test('is not fooled by a folder whose time was set to what it was', () => {
    const { store, path } = openStore();
    utimesSync(store.leases, 1000, 1000);
    markSeen(store);
    const text = readFileSync(`${store.drafts}/folder-seen`, 'utf8');
    const at = Number(text.split(' ')[2]) / 1e9;
    writeFileSync(path('10.1.0.2'), '');
    utimesSync(store.leases, at, at);
    expect(isSeen(store)).toBe(false);
  });

  test.each(['', 'rubbish', '\0'.repeat(100)])('does not believe a damaged stamp: %j', (text) => {
    const { store } = openStore();
    markSeen(store);
    writeFileSync(`${store.drafts}/folder-seen`, text);
    expect(isSeen(store)).toBe(false);
  });
});

describe('the index', () => {
  test('knows the leases of a container, in either format, and no others', () => {
    const { store, path } = openStore();
    writeFileSync(path('10.1.0.2'), 'c1\r\neth0');
    writeFileSync(path('10.1.0.3'), 'c1');
    writeFileSync(path('10.1.0.4'), 'c11\r\neth0');
    writeFileSync(path('10.1.0.5'), '\0\0');
    expect(rebuildIndex(store, ownerOf('c1'))).toEqual(['10.1.0.2', '10.1.0.3']);
    expect(indexedLeases(store, ownerOf('c1'))).toEqual(['10.1.0.2', '10.1.0.3']);
    expect(indexedLeases(store, ownerOf('c11'))).toEqual(['10.1.0.4']);
    expect(indexedLeases(store, ownerOf('c'))).toEqual([]);
  });

  test('finds each of many containers in its bucket', () => {
    const leases = Array.from({ length: 3000 }, (_, at) => ({
      name: `10.1.${at >> 8}.${at & 255}`,
      containerId: `id-${at}`,
    }));
    const text = renderOwners(leases);
    const read = (start: number, size: number) => text.subarray(start, start + size);
    for (const { name, containerId } of leases) expect(findOwned(containerId, read)).toEqual([name]);
  });

  test.each(['', 'rubbish', '\0'.repeat(9000), '9'.repeat(9000)])('is none when it is damaged', (text) => {
    const { store, index } = openStore();
    rebuildIndex(store, ownerOf('c1'));
    writeFileSync(index, text);
    expect(indexedLeases(store, ownerOf('c1'))).toBeUndefined();
  });

  test('is none when it was cut short', () => {
    const { store, path, index } = openStore();
    writeFileSync(path('10.1.0.2'), 'c1\r\neth0');
    rebuildIndex(store, ownerOf('c1'));
    writeFileSync(index, readFileSync(index).subarray(0, 3200));
    expect([undefined, []]).toContainEqual(indexedLeases(store, ownerOf('c1')));
  });
});

describe('findLeases()', () => {
  test('reads nothing that it need not, and everything when the folder was touched', () => {
    const { store, path } = openStore();
    writeFileSync(path('10.1.0.2'), 'c1\r\neth0');
    expect(findLeases(store, ownerOf('c1'), { canWrite: true }).exact).toEqual(['10.1.0.2']);
    markSeen(store);
    // The content changes without the folder's knowing: only a full look could find it.
    writeFileSync(path('10.1.0.2'), 'c2\r\neth0');
    expect(findLeases(store, ownerOf('c2'), { canWrite: true }).exact).toEqual([]);
    expect(findLeases(store, ownerOf('c1'), { canWrite: true }).exact).toEqual([]);
    expect(findLeases(store, ownerOf('c2'), { canWrite: true, addresses: ['10.1.0.2/24'] }).exact).toEqual([
      '10.1.0.2',
    ]);
    writeFileSync(path('10.1.0.3'), 'c3\r\neth0');
    expect(findLeases(store, ownerOf('c2'), { canWrite: true }).exact).toEqual(['10.1.0.2']);
    expect(findLeases(store, ownerOf('c3'), { canWrite: true }).exact).toEqual(['10.1.0.3']);
  });
});
