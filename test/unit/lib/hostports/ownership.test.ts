/** Who gets a port that somebody else claims as well. */

import { describe, expect, test } from 'vitest';
import { claimsOf } from '../../../../lib/attachment/port-claims.ts';
import { decideOwnership, describeEviction, type Holder, type Wanted } from '../../../../lib/hostports/ownership.ts';
import { mapping } from './fixtures.ts';

function wanted(over: Partial<Wanted> = {}): Wanted {
  return { network: 'net', containerId: 'mine', mappings: [mapping(80), mapping(81)], policy: 'fail', ...over };
}

function holder(over: Partial<Holder> = {}): Holder {
  return {
    network: 'net',
    containerId: 'theirs',
    pod: { namespace: 'shop', name: 'web-1' },
    sinceMs: Date.UTC(2026, 0, 31, 12, 30, 5, 99),
    claims: claimsOf([mapping(81)]),
    verdict: 'alive',
    why: 'its link veth1 is there',
    isRecorded: true,
    ...over,
  };
}

describe('another container', () => {
  test('that lives is named with network, pod, time and proof', () => {
    expect(() => decideOwnership(wanted(), [holder()])).toThrow(
      expect.objectContaining({
        code: 107,
        message:
          'cannot forward host port 81/tcp: container "theirs" (pod shop/web-1) of network "net" has it since 2026-01-31T12:30:05Z',
        details: expect.stringMatching(/^its link veth1 is there; .*"cnictl release net theirs"/),
      }),
    );
  });

  test('that cannot be shown dead keeps its port', () => {
    expect(() => decideOwnership(wanted(), [holder({ verdict: 'unknown' })])).toThrow(/"theirs"/);
  });

  test('that is dead is evicted', () => {
    const dead = holder({ verdict: 'dead', why: 'it is of an earlier boot of this machine' });
    const decided = decideOwnership(wanted(), [dead]);
    expect(decided).toEqual({ mappings: wanted().mappings, ceded: [], evicted: [dead], warnings: [] });
    expect(describeEviction(dead)).toBe(
      'portmap: took the host ports of container "theirs" (pod shop/web-1) of network "net" (since 2026-01-31T12:30:05Z): it is of an earlier boot of this machine',
    );
  });

  test('beside a dead one refuses before anybody is evicted', () => {
    const dead = holder({ containerId: 'dead', verdict: 'dead', claims: claimsOf([mapping(80)]) });
    expect(() => decideOwnership(wanted(), [dead, holder()])).toThrow(/"theirs"/);
  });

  test('keeps a port with a warning when the configuration says so', () => {
    const decided = decideOwnership(wanted({ policy: 'warn' }), [holder({ pod: undefined })]);
    expect(decided.mappings).toEqual(wanted().mappings);
    expect(decided.warnings).toEqual([
      'portmap: host port 81/tcp goes on leading to container "theirs" of network "net", which has it since 2026-01-31T12:30:05Z: its link veth1 is there',
    ]);
  });

  test('is told with the number of ports beyond the first', () => {
    const all = holder({ claims: claimsOf([mapping(80), mapping(81)]) });
    expect(() => decideOwnership(wanted(), [all])).toThrow('cannot forward host port 80/tcp and 1 more: ');
  });

  test.each([
    ['192.0.2.1', '192.0.2.1:80/tcp'],
    ['2001:db8::1', '[2001:db8::1]:80/tcp'],
  ])('is told with the address %s of the host', (hostIp, name) => {
    const mappings = [mapping(80, { hostIp })];
    expect(() => decideOwnership(wanted({ mappings }), [holder({ claims: claimsOf(mappings) })])).toThrow(name);
  });
});

describe('rules without a record', () => {
  const foreign = { isRecorded: false, pod: undefined, sinceMs: undefined };

  test('of one that lives are as good as any', () => {
    expect(() => decideOwnership(wanted(), [holder(foreign)])).toThrow(
      'cannot forward host port 81/tcp: container "theirs" of network "net" has it',
    );
  });

  test('that nobody can tell of are left alone, with a warning', () => {
    const unknown = holder({ ...foreign, verdict: 'unknown', why: 'it has a lease, but no namespace has its address' });
    const decided = decideOwnership(wanted(), [unknown]);
    expect(decided).toMatchObject({ mappings: wanted().mappings, evicted: [], ceded: [] });
    expect(decided.warnings).toEqual([
      'portmap: rules for host port 81/tcp of container "theirs" of network "net" stand before ours and are left alone: it has a lease, but no namespace has its address',
    ]);
  });
});

describe('the same container', () => {
  const first = holder({ containerId: 'mine', network: 'first', pod: undefined });

  test('on another network keeps the port there', () => {
    const decided = decideOwnership(wanted(), [first]);
    expect(decided.mappings.map(({ hostPort }) => hostPort)).toEqual([80]);
    expect(decided.ceded.map(({ hostPort }) => hostPort)).toEqual([81]);
    expect(decided.warnings).toEqual([
      'portmap: host port 81/tcp already leads to this container on network "first" and is not forwarded here',
    ]);
  });

  test('on another network, dead there, is evicted there', () => {
    const decided = decideOwnership(wanted(), [{ ...first, verdict: 'dead' }]);
    expect(decided).toMatchObject({ mappings: wanted().mappings, ceded: [], warnings: [] });
    expect(decided.evicted).toHaveLength(1);
  });

  test('by another interface on the same network forwards from both, the first one first', () => {
    const decided = decideOwnership(wanted(), [{ ...first, network: 'net' }]);
    expect(decided).toEqual({ mappings: wanted().mappings, ceded: [], evicted: [], warnings: [] });
  });

  test('leaves to another container only what it does not cede', () => {
    const other = holder({ claims: claimsOf([mapping(81)]) });
    expect(decideOwnership(wanted({ policy: 'warn' }), [first, other]).warnings).toHaveLength(1);
  });
});
