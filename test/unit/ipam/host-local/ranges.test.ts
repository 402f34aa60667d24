import { describe, expect, test } from 'vitest';
import {
  formatSet,
  makeRangeSets,
  type RangeConfig,
  type RangeSet,
  rangeFor,
  requireOneSetPerFamily,
  sizeOf,
} from '../../../../ipam/host-local/ranges.ts';
import { code } from '../../../../lib/cni/errors.ts';
import { cidr, ip } from './support.ts';

interface Texts {
  readonly subnet?: string;
  readonly start?: string;
  readonly end?: string;
  readonly gateway?: string;
}

function config({ subnet, start, end, gateway }: Texts): RangeConfig {
  const optional = (text: string | undefined) => (text === undefined ? undefined : ip(text));
  return {
    subnet: subnet === undefined ? undefined : cidr(subnet),
    rangeStart: optional(start),
    rangeEnd: optional(end),
    gateway: optional(gateway),
  };
}

function setOf(...ranges: Texts[]): RangeSet {
  const [set] = makeRangeSets([ranges.map(config)]);
  if (set === undefined) throw new RangeError('no set');
  return set;
}

describe('makeRangeSets()', () => {
  test.each([
    { subnet: '10.1.2.0/24', text: '10.1.2.1-10.1.2.254', gateway: '10.1.2.1', size: 253n },
    { subnet: '10.1.2.0/30', text: '10.1.2.1-10.1.2.2', gateway: '10.1.2.1', size: 1n },
    { subnet: '2001:db8:1::/64', text: '2001:db8:1::1-2001:db8:1:0:ffff:ffff:ffff:ffff', gateway: '2001:db8:1::1' },
    { subnet: 'fd00::/126', text: 'fd00::1-fd00::3', gateway: 'fd00::1', size: 2n },
    { subnet: '0.0.0.0/0', text: '0.0.0.1-255.255.255.254', gateway: '0.0.0.1' },
  ])('fills in the defaults of $subnet', ({ subnet, text, gateway, size }) => {
    const set = setOf({ subnet });
    expect(formatSet(set)).toBe(text);
    expect(set[0].gateway.text).toBe(gateway);
    if (size !== undefined) expect(sizeOf(set)).toBe(size);
  });

  test('keeps a gateway outside the subnet and then counts every address', () => {
    const set = setOf({ subnet: '10.1.2.0/29', gateway: '169.254.1.1' });
    expect(set[0].gateway.text).toBe('169.254.1.1');
    expect(sizeOf(set)).toBe(6n);
  });

  test('lets ranges of one subnet share a set, and start and end at its first and last address', () => {
    const set = setOf(
      { subnet: '10.1.2.0/24', start: '10.1.2.0', end: '10.1.2.9' },
      { subnet: '10.1.2.0/24', start: '10.1.2.20', end: '10.1.2.255' },
    );
    expect(formatSet(set)).toBe('10.1.2.0-10.1.2.9,10.1.2.20-10.1.2.255');
    expect(rangeFor(set, ip('10.1.2.20'))).toBe(set[1]);
    expect(rangeFor(set, ip('10.1.2.10'))).toBeUndefined();
    expect(rangeFor(set, ip('::10.1.2.5'))).toBeUndefined();
  });

  test.each<{ problem: string; sets: Texts[][] }>([
    { problem: 'invalid range set 1: empty range set', sets: [[{ subnet: '10.1.0.0/24' }], []] },
    { problem: 'invalid range set 0: range without "subnet"', sets: [[{ start: '10.1.2.3' }]] },
    {
      problem: 'invalid range set 0: Network 10.1.2.0/31 too small to allocate from',
      sets: [[{ subnet: '10.1.2.0/31' }]],
    },
    {
      problem: 'invalid range set 0: Network fd00::/127 too small to allocate from',
      sets: [[{ subnet: 'fd00::/127' }]],
    },
    {
      problem:
        'invalid range set 0: Network has host bits set. For a subnet mask of length 24 the network address is 10.1.2.0',
      sets: [[{ subnet: '10.1.2.7/24' }]],
    },
    {
      problem: 'invalid range set 0: gateway fe80::1 is not of the family of 10.1.2.0/24',
      sets: [[{ subnet: '10.1.2.0/24', gateway: 'fe80::1' }]],
    },
    {
      problem: 'invalid range set 0: RangeStart 10.1.3.1 not in network 10.1.2.0/24',
      sets: [[{ subnet: '10.1.2.0/24', start: '10.1.3.1' }]],
    },
    {
      problem: 'invalid range set 0: RangeEnd fd00::5 not in network 10.1.2.0/24',
      sets: [[{ subnet: '10.1.2.0/24', end: 'fd00::5' }]],
    },
    {
      problem: 'invalid range set 0: RangeStart 10.1.2.255 is after RangeEnd 10.1.2.254',
      sets: [[{ subnet: '10.1.2.0/24', start: '10.1.2.255' }]],
    },
    {
      problem: 'invalid range set 0: mixed address families',
      sets: [[{ subnet: '10.1.2.0/24' }, { subnet: 'fd00::/64' }]],
    },
    {
      problem: 'invalid range set 0: subnets 10.1.2.1-10.1.2.254 and 10.1.2.100-10.1.2.254 overlap',
      sets: [[{ subnet: '10.1.2.0/24' }, { subnet: '10.9.0.0/24' }, { subnet: '10.1.2.0/24', start: '10.1.2.100' }]],
    },
    {
      problem: 'range set 0 overlaps with 2',
      sets: [[{ subnet: '10.0.0.0/8' }], [{ subnet: 'fd00::/64' }], [{ subnet: '10.1.2.0/24' }]],
    },
  ])('refuses: $problem', ({ problem, sets }) => {
    const act = () => makeRangeSets(sets.map((set) => set.map(config)));
    expect(act).toThrow(expect.objectContaining({ code: code.invalidConfig, message: problem }));
  });
});

test('requireOneSetPerFamily() takes dual stack and refuses two sets of one family', () => {
  const sets = makeRangeSets([[config({ subnet: '10.1.0.0/24' })], [config({ subnet: 'fd00::/64' })]]);
  expect(() => requireOneSetPerFamily(sets, '0.2.0')).not.toThrow();
  const more = makeRangeSets([...sets.map(() => [])].map((_, index) => [config({ subnet: `10.${index}.0.0/24` })]));
  expect(() => requireOneSetPerFamily(more, '0.2.0')).toThrow(
    'CNI version 0.2.0 does not support more than 1 address per family',
  );
});
