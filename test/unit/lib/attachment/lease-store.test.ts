import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, test } from 'vitest';
import { writeDraft } from '../../../../lib/attachment/draft.ts';
import { findLeases } from '../../../../lib/attachment/find.ts';
import {
  leaseNames,
  leaseText,
  parseLease,
  readLease,
  release,
  reserve as reserveDraft,
} from '../../../../lib/attachment/lease-store.ts';
import { createStore, type Owner, type Store } from '../../../../lib/attachment/store.ts';
import { code } from '../../../../lib/cni/errors.ts';
import type { Ip } from '../../../../lib/net/ip.ts';
import { filesOf, ip, ownerOf, temporaryFolder, temporaryStore } from '../../ipam/host-local/support.ts';

function reserve(store: Store, candidates: { ip: Ip }[], owner: Owner, mayReclaim = true) {
  const draft = writeDraft(store, leaseText(owner));
  const given = reserveDraft(store, candidates, { draft, mayReclaim: () => mayReclaim });
  rmSync(draft.path, { force: true });
  return given;
}

function openStore() {
  const opened = temporaryStore();
  createStore(opened.store);
  return { ...opened, path: (name: string) => `${opened.store.leases}/${name}` };
}

function offer(...texts: string[]) {
  return texts.map((text) => ({ ip: ip(text) }));
}

describe('createStore()', () => {
  test('makes the folders with the modes of the reference and of ours', () => {
    const { store } = openStore();
    const mode = (path: string) => statSync(path).mode & 0o777;
    expect([mode(store.leases), mode(store.drafts)]).toEqual([0o755, 0o700]);
  });

  test('says which folder cannot be made, and why', () => {
    const { store, dataDir } = temporaryStore();
    rmSync(dataDir, { recursive: true });
    writeFileSync(dataDir, '');
    const message = `cannot create the folder "${store.leases}": a part of the path is no folder`;
    expect(() => createStore(store)).toThrow(expect.objectContaining({ code: code.ioFailure, message }));
  });
});

describe('reserve()', () => {
  test('writes the lease byte for byte, with mode 0600, and leaves no draft', () => {
    const { store, dataDir, path } = openStore();
    expect(reserve(store, offer('fd00::0:5'), ownerOf('c1'))?.ip.text).toBe('fd00::5');
    expect(filesOf(dataDir)).toEqual({ 'net1/fd00::5': 'c1\r\neth0' });
    expect(statSync(path('fd00::5')).mode & 0o777).toBe(0o600);
  });

  test('takes the first free candidate, nothing when all are taken', () => {
    const { store, dataDir } = openStore();
    reserve(store, offer('10.1.0.2'), ownerOf('c1'));
    expect(reserve(store, offer('10.1.0.2', '10.1.0.3', '10.1.0.4'), ownerOf('c2'))?.ip.text).toBe('10.1.0.3');
    expect(reserve(store, offer('10.1.0.2', '10.1.0.3'), ownerOf('c3'))).toBeUndefined();
    expect(filesOf(dataDir)).toEqual({ 'net1/10.1.0.2': 'c1\r\neth0', 'net1/10.1.0.3': 'c2\r\neth0' });
  });

  test('gives an address with an empty lease again, and says so', () => {
    const { store, host, path } = openStore();
    writeFileSync(path('10.1.0.2'), '');
    expect(reserve(store, offer('10.1.0.2', '10.1.0.3'), ownerOf('c1'))?.ip.text).toBe('10.1.0.2');
    expect(host.warnings).toEqual([`reclaiming ${path('10.1.0.2')}: an empty lease belongs to nobody`]);
  });

  test('takes for taken, and follows nowhere, what stands where a lease would', () => {
    const { store, path } = openStore();
    mkdirSync(path('10.1.0.2'));
    const outside = `${temporaryFolder()}/victim`;
    writeFileSync(outside, '');
    symlinkSync(outside, path('10.1.0.3'));
    symlinkSync('/nowhere', path('10.1.0.4'));
    writeFileSync(path('10.1.0.5'), '\0\0');
    execFileSync('mkfifo', [path('10.1.0.6')]);
    const candidates = offer('10.1.0.2', '10.1.0.3', '10.1.0.4', '10.1.0.5', '10.1.0.6', '10.1.0.7');
    expect(reserve(store, candidates, ownerOf('c1'))?.ip.text).toBe('10.1.0.7');
    expect(readFileSync(outside, 'utf8')).toBe('');
    expect(readlinkSync(path('10.1.0.4'))).toBe('/nowhere');
  });

  test('leaves an empty lease that somebody may live by', () => {
    const { store, path } = openStore();
    writeFileSync(path('10.1.0.2'), '');
    expect(reserve(store, offer('10.1.0.2', '10.1.0.3'), ownerOf('c1'), false)?.ip.text).toBe('10.1.0.3');
    expect(readFileSync(path('10.1.0.2'), 'utf8')).toBe('');
  });

  test('fails as a whole, and leaves no draft, where the folder is gone', () => {
    const { store } = openStore();
    rmSync(store.leases, { recursive: true });
    expect(() => reserve(store, offer('10.1.0.2'), ownerOf('c1'))).toThrow();
    expect(readdirSync(store.drafts)).toEqual([]);
  });
});

describe('parseLease()', () => {
  test.each([
    { text: 'c1\r\neth0', owner: ownerOf('c1', 'eth0') },
    { text: ' c1\r\neth0\n', owner: ownerOf('c1', 'eth0') },
    { text: 'c1', owner: ownerOf('c1', '') },
    { text: 'c1\r\n', owner: ownerOf('c1', '') },
    { text: '', owner: undefined },
    { text: '\0\0\0\0', owner: undefined },
    { text: 'c1\r\n\0\0\0', owner: undefined },
    { text: 'c1\neth0', owner: undefined },
    { text: 'c1\r\neth0\r\nmore', owner: undefined },
    { text: '../c1\r\neth0', owner: undefined },
  ])('$text', ({ text, owner }) => {
    expect(parseLease(text)).toEqual(owner);
  });
});

describe('findLeases()', () => {
  test('tells the leases of one interface from those of others and from old ones', () => {
    const { store, path } = openStore();
    writeFileSync(path('10.1.0.2'), 'c1\r\neth0');
    writeFileSync(path('10.1.0.3'), 'c1\r\neth1');
    writeFileSync(path('10.1.0.4'), 'c1');
    writeFileSync(path('10.1.0.5'), ' c1\r\neth0\n');
    writeFileSync(path('10.1.0.6'), 'c11\r\neth0');
    expect(findLeases(store, ownerOf('c1'), { canWrite: false })).toEqual({
      exact: ['10.1.0.2', '10.1.0.5'],
      byContainer: ['10.1.0.4'],
    });
  });

  test('passes over what is no lease: lock, cursors, folders, links, damaged and huge files', () => {
    const { store, host, path } = openStore();
    const lease = 'c1\r\neth0';
    for (const name of ['lock', 'last_reserved_ip.0']) writeFileSync(path(name), lease);
    mkdirSync(path('10.1.0.2'));
    writeFileSync(`${path('10.1.0.2')}/10.1.0.9`, lease);
    const outside = `${temporaryFolder()}/lease`;
    writeFileSync(outside, lease);
    symlinkSync(outside, path('10.1.0.3'));
    writeFileSync(path('10.1.0.4'), lease + ' '.repeat(1_000_000));
    writeFileSync(path('10.1.0.5'), Buffer.from([0xff, 0xfe, 0x00]));
    writeFileSync(path('10.1.0.6'), '');
    expect(findLeases(store, ownerOf('c1'), { canWrite: false })).toEqual({ exact: [], byContainer: [] });
    expect(leaseNames(store)).toEqual(['10.1.0.4', '10.1.0.5', '10.1.0.6']);
    expect(host.warnings).toEqual([]);
  });
});

test('readLease() warns of what it cannot read, not of what is gone', () => {
  const { store, host, path } = openStore();
  writeFileSync(path('file'), '');
  expect(readLease(store, '10.1.0.2')).toBeUndefined();
  expect(host.warnings).toEqual([]);
  expect(readLease(store, 'file/10.1.0.2')).toBeUndefined();
  expect(host.warnings).toEqual([expect.stringContaining(`cannot read the lease ${path('file/10.1.0.2')}`)]);
});

test('release() deletes all it can and reports the rest; what is gone is no failure', () => {
  const { store, dataDir, path } = openStore();
  mkdirSync(path('10.1.0.2'));
  writeFileSync(path('10.1.0.4'), 'c1\r\neth0');
  expect(() => release(store, ['10.1.0.2', '10.1.0.3', '10.1.0.4'])).toThrow(
    expect.objectContaining({
      code: code.ioFailure,
      // Which errno it is depends on the file system.
      message: expect.stringMatching(`^cannot delete the lease "${path('10.1.0.2')}": [a-z ]+$`),
    }),
  );
  expect(filesOf(dataDir)).toEqual({});
});
