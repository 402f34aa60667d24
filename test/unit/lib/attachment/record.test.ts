/** Records: what is believed, what is none, and the lock that tells a crash from work. */

import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, test } from 'vitest';
import { lockOf, parseRecord, readRecord, recordName } from '../../../../lib/attachment/record.ts';
import { recordHandle, removeRecordOf } from '../../../../lib/attachment/record-handle.ts';
import { createStore, type Store } from '../../../../lib/attachment/store.ts';
import { LOCK_EX, tryFlock } from '../../../../lib/linux/libc.ts';
import { ownerOf, temporaryStore } from '../../ipam/host-local/support.ts';
import { makeRecord } from './fixtures.ts';

const owner = ownerOf('c1');
const name = recordName(owner);

function openStore(): Store {
  const { store } = temporaryStore();
  createStore(store);
  return store;
}

function open(store: Store) {
  const args = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-1';
  return recordHandle(store, {
    ...owner,
    plugin: 'bridge',
    netns: '/a',
    containerNetns: '7',
    args,
    firewall: 'iptables',
  });
}

describe('parseRecord()', () => {
  test('takes what it wrote', () => {
    expect(parseRecord(JSON.stringify(makeRecord()))).toEqual(makeRecord());
  });
  test.each([
    ['nothing', ''],
    ['NULs', '\0'.repeat(500)],
    ['half of it', JSON.stringify(makeRecord()).slice(0, 200)],
    ['another kind of JSON', '[]'],
    [
      'an address that leads elsewhere',
      JSON.stringify(makeRecord({ leases: [{ address: '../x', inode: '1', mtimeNs: '1', ctimeNs: '1' }] })),
    ],
    ['a link name that is none', JSON.stringify(makeRecord({ hostLink: { name: 'a/b', mac: '02:00:00:00:00:01' } }))],
    ['a container ID that is none', JSON.stringify(makeRecord({ containerId: '../c' }))],
  ])('finds %s damaged', (_what, text) => {
    expect(parseRecord(text)).toBe('damaged');
  });
  test('leaves a newer version to those who wrote it', () => {
    expect(parseRecord('{"version": 2, "state": "hibernating"}')).toBe('newer');
  });
});

describe('readRecord()', () => {
  test('follows no link, reads no folder, and believes no record of another attachment', () => {
    const store = openStore();
    expect(readRecord(store, name)).toBe('none');
    const path = `${store.drafts}/${name}`;
    symlinkSync('/etc/passwd', path);
    expect(readRecord(store, name)).toBe('damaged');
    removeRecordOf(store, owner);
    mkdirSync(path);
    expect(readRecord(store, name)).toBe('damaged');
    removeRecordOf(store, owner);
    writeFileSync(path, JSON.stringify(makeRecord({ containerId: 'c2' })));
    expect(readRecord(store, name)).toBe('damaged');
    expect(readFileSync('/etc/passwd', 'utf8')).not.toBe('');
  });
});

describe('the handle', () => {
  test('writes an unfinished record under its lock, then the finished one', () => {
    const store = openStore();
    const handle = open(store);
    expect(readRecord(store, name)).toBe('none');
    handle.begin([{ path: '', inode: '5', mtimeNs: '6' }]);
    const begun = readRecord(store, name);
    expect(begun).toMatchObject({
      record: { state: 'adding', leases: [{ address: '', inode: '5', mtimeNs: '6', ctimeNs: '' }] },
    });
    if (typeof begun === 'string') throw new Error(begun);
    expect(lockOf(begun)).toBe('locked');
    handle.note({ addresses: ['10.1.0.5/24'], leases: [] });
    expect(lockOf(begun)).toBe('locked');
    handle.finish();
    expect(readRecord(store, name)).toMatchObject({
      record: { state: 'added', addresses: ['10.1.0.5/24'], pod: { namespace: 'shop', name: 'web-1' } },
    });
    expect(lockOf(begun)).toBe('changed');
    expect(readdirSync(store.drafts)).toEqual([name]);
    expect(statSync(`${store.drafts}/${name}`).mode & 0o777).toBe(0o600);
  });

  test('leaves nothing when it is abandoned, before and after the end', () => {
    const store = openStore();
    for (const isFinished of [false, true]) {
      const handle = open(store);
      handle.begin([]);
      if (isFinished) handle.finish();
      handle.abandon();
      expect(readdirSync(store.drafts)).toEqual([]);
    }
  });

  test('an abandoned handle that never began removes nobody else', () => {
    const store = openStore();
    const living = open(store);
    living.begin([]);
    living.finish();
    open(store).abandon();
    expect(readRecord(store, name)).toMatchObject({ record: { state: 'added' } });
  });

  test('is refused while another ADD is at work, with code 11, and by a newer version, with code 101', () => {
    const store = openStore();
    const first = open(store);
    first.begin([]);
    expect(() => open(store).begin([])).toThrow(expect.objectContaining({ code: 11 }));
    first.abandon();
    writeFileSync(`${store.drafts}/${name}`, '{"version": 9}');
    expect(() => open(store).begin([])).toThrow(expect.objectContaining({ code: 101 }));
    expect(readRecord(store, name)).toBe('newer');
  });

  test('goes over a crashed record and over damage of any kind', () => {
    const store = openStore();
    const path = `${store.drafts}/${name}`;
    const makers = [
      () => writeFileSync(path, JSON.stringify(makeRecord({ state: 'adding' }))),
      () => writeFileSync(path, ''),
      () => mkdirSync(path),
      () => symlinkSync('/nowhere', path),
    ];
    for (const make of makers) {
      make();
      const handle = open(store);
      handle.begin([]);
      handle.finish();
      expect(readRecord(store, name)).toMatchObject({ record: { state: 'added' } });
      removeRecordOf(store, owner);
    }
  });
});

test('lockOf() tells a crash from work', () => {
  const store = openStore();
  const path = `${store.drafts}/${name}`;
  writeFileSync(path, JSON.stringify(makeRecord({ state: 'adding' })));
  const read = readRecord(store, name);
  if (typeof read === 'string') throw new Error(read);
  expect(lockOf(read)).toBe('free');
  const fd = openSync(path, 'r');
  tryFlock(fd, LOCK_EX);
  expect(lockOf(read)).toBe('locked');
  closeSync(fd);
  expect(lockOf(read)).toBe('free');
});
