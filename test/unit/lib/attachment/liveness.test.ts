/** Who is dead: each proof, and each way in which it must not be taken for one. */

import { describe, expect, test } from 'vitest';
import {
  type ForeignLease,
  judgeLease,
  judgeRecord,
  type Observed,
  type Verdict,
} from '../../../../lib/attachment/liveness.ts';
import type { AttachmentRecord, RecordLock } from '../../../../lib/attachment/record.ts';
import { makeRecord, seen } from './fixtures.ts';

interface Case {
  readonly what: string;
  readonly record?: Partial<AttachmentRecord>;
  readonly observed?: Partial<Observed>;
  readonly lock?: RecordLock;
  readonly holdsLease?: boolean;
  readonly verdict: Verdict;
}

function check({ record, observed, lock = 'free', holdsLease = true, verdict }: Case): void {
  expect(judgeRecord(makeRecord(record), seen(observed), { lock, holdsLease })).toMatchObject({ verdict });
}

const noCookie = { containerNetns: '' };
const alien = { bootId: 'other-boot', machineId: 'other-machine' };

describe('judgeRecord(): another boot', () => {
  test.each<Case>([
    { what: 'of this machine', record: { bootId: 'other-boot' }, verdict: 'dead' },
    {
      what: 'of this machine, on a shared disk',
      record: { bootId: 'other-boot' },
      observed: { isLocal: false },
      verdict: 'dead',
    },
    { what: 'of another machine, on its own disk', record: alien, verdict: 'dead' },
    { what: 'of another machine, on a shared disk', record: alien, observed: { isLocal: false }, verdict: 'unknown' },
    {
      what: 'of a machine without id, on a shared disk',
      record: { bootId: 'other-boot', machineId: '' },
      observed: { isLocal: false, machineId: '' },
      verdict: 'unknown',
    },
    { what: 'that cannot be told', record: { bootId: 'other-boot' }, observed: { bootId: '' }, verdict: 'unknown' },
    { what: 'while its ADD is at work', record: { ...alien, state: 'adding' }, lock: 'locked', verdict: 'alive' },
  ])('$what: $verdict', check);
});

describe('judgeRecord(): an unfinished ADD', () => {
  const adding = { state: 'adding' } as const;
  test.each<Case>([
    { what: 'locked', record: adding, lock: 'locked', verdict: 'alive' },
    { what: 'replaced while we looked', record: adding, lock: 'changed', verdict: 'alive' },
    { what: 'unlocked', record: adding, verdict: 'dead' },
    { what: 'unlocked, its namespace alive', record: adding, observed: { cookieAt: () => '77' }, verdict: 'dead' },
    {
      what: 'unlocked, of another namespace of the host',
      record: adding,
      observed: { hostNetns: '4' },
      verdict: 'unknown',
    },
  ])('$what: $verdict', check);
});

describe('judgeRecord(): by our bridge', () => {
  const links = (name: string, mac: string) => () => ({ names: new Set([name]), macs: new Set([mac]) });
  test.each<Case>([
    { what: 'link and namespace gone', verdict: 'dead' },
    { what: 'link there', observed: { links: links('veth1', 'x') }, verdict: 'alive' },
    { what: 'link renamed', observed: { links: links('other', '02:00:00:00:00:01') }, verdict: 'alive' },
    { what: 'link moved, path leads to the namespace', observed: { cookieAt: () => '77' }, verdict: 'alive' },
    { what: 'path leads to a namespace made anew', observed: { cookieAt: () => '78' }, verdict: 'dead' },
    { what: 'path cannot be looked at', observed: { cookieAt: () => undefined }, verdict: 'unknown' },
    { what: 'links cannot be listed', observed: { links: () => undefined }, verdict: 'unknown' },
    {
      what: 'link moved, namespace held by a descriptor',
      observed: { namespaces: () => ({ cookies: new Set(['77']), addresses: new Set() }) },
      verdict: 'unknown',
    },
    { what: 'seen from another namespace', observed: { hostNetns: '4' }, verdict: 'unknown' },
    { what: 'a kernel without cookies', observed: { hostNetns: '' }, verdict: 'unknown' },
    { what: 'namespace never recorded', record: noCookie, verdict: 'unknown' },
    { what: 'a /proc that hides processes', observed: { namespaces: () => undefined }, verdict: 'dead' },
  ])('$what: $verdict', check);
});

describe("judgeRecord(): by host-local under another's plugin", () => {
  const record = { plugin: 'host-local', hostLink: undefined } as unknown as Partial<AttachmentRecord>;
  const held = { namespaces: () => ({ cookies: new Set(['77']), addresses: new Set<string>() }) };
  test.each<Case>([
    { what: 'path leads elsewhere, old, nothing refers to it', record, verdict: 'dead' },
    { what: 'path leads to it', record, observed: { cookieAt: () => '77' }, verdict: 'alive' },
    { what: 'too young', record, observed: { sinceBootMs: 1_599_999 }, verdict: 'unknown' },
    { what: 'old enough', record, observed: { sinceBootMs: 1_600_000 }, verdict: 'dead' },
    { what: 'held by something', record, observed: held, verdict: 'alive' },
    { what: 'a /proc that hides processes', record, observed: { namespaces: () => undefined }, verdict: 'unknown' },
    { what: 'namespace never recorded', record: { ...record, ...noCookie }, verdict: 'unknown' },
    {
      what: 'its lease released by others',
      record,
      observed: { cookieAt: () => '77' },
      holdsLease: false,
      verdict: 'dead',
    },
  ])('$what: $verdict', check);
});

describe("judgeLease(): the reference's", () => {
  const lease: ForeignLease = { containerId: 'c1', ifname: 'eth0', address: '10.1.0.5', mtimeMs: 999_999_999 };
  test.each<{ what: string; over?: Partial<ForeignLease>; observed?: Partial<Observed>; verdict: Verdict }>([
    { what: 'of a former boot, and nobody has it', verdict: 'dead' },
    { what: 'written in this boot', over: { mtimeMs: 1_000_000_000 }, verdict: 'unknown' },
    { what: 'of no time at all', over: { mtimeMs: Number.NaN }, verdict: 'unknown' },
    { what: 'on a shared disk', observed: { isLocal: false }, verdict: 'unknown' },
    { what: 'its cached sandbox there', observed: { cachedSandbox: () => 'alive' }, verdict: 'alive' },
    { what: 'its cache entry damaged', observed: { cachedSandbox: () => 'unknown' }, verdict: 'unknown' },
    { what: 'a /proc that hides processes', observed: { namespaces: () => undefined }, verdict: 'unknown' },
    {
      what: 'its address in a namespace',
      observed: { namespaces: () => ({ cookies: new Set(), addresses: new Set(['10.1.0.5']) }) },
      verdict: 'alive',
    },
  ])('$what: $verdict', ({ over, observed, verdict }) => {
    expect(judgeLease({ ...lease, ...over }, seen(observed))).toMatchObject({ verdict });
  });
});
