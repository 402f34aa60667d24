import { describe, expect, test } from 'vitest';
import { candidates, planAllocations, type Wishes } from '../../../../ipam/host-local/allocate.ts';
import { makeRangeSets, type RangeSet } from '../../../../ipam/host-local/ranges.ts';
import { code } from '../../../../lib/cni/errors.ts';
import { cidr, ip } from './support.ts';

/** Sets of ranges like `10.1.0.0/24 10.1.0.10 10.1.0.12 10.1.0.11`: subnet, start, end, gateway. */
function sets(...texts: string[][]): RangeSet[] {
  const range = (text: string) => {
    const [subnet = '', start, end, gateway] = text.split(' ');
    const optional = (address: string | undefined) => (address === undefined ? undefined : ip(address));
    return {
      subnet: cidr(subnet),
      rangeStart: optional(start),
      rangeEnd: optional(end),
      gateway: optional(gateway),
    };
  };
  return makeRangeSets(texts.map((set) => set.map(range)));
}

function walked(set: RangeSet, last: string | undefined): string[] {
  const found = candidates(
    { index: 0, set, requested: undefined },
    {
      last: last === undefined ? undefined : ip(last),
    },
  );
  return [...found].map(({ ip: { text } }) => text.replace('10.1.0.', '.'));
}

describe('candidates()', () => {
  const [split] = sets(['10.1.0.0/24 10.1.0.10 10.1.0.12', '10.1.0.0/24 10.1.0.20 10.1.0.21', '10.9.0.0/30']);
  if (split === undefined) throw new RangeError('no set');

  test.each([
    { last: undefined, order: ['.10', '.11', '.12', '.20', '.21', '10.9.0.2'] },
    { last: '10.1.0.10', order: ['.11', '.12', '.20', '.21', '10.9.0.2', '.10'] },
    { last: '10.1.0.12', order: ['.20', '.21', '10.9.0.2', '.10', '.11', '.12'] },
    { last: '10.1.0.20', order: ['.21', '10.9.0.2', '.10', '.11', '.12', '.20'] },
    { last: '10.9.0.2', order: ['.10', '.11', '.12', '.20', '.21', '10.9.0.2'] },
    { last: '10.1.0.15', order: ['.10', '.11', '.12', '.20', '.21', '10.9.0.2'] },
    { last: 'fd00::1', order: ['.10', '.11', '.12', '.20', '.21', '10.9.0.2'] },
  ])('goes once round all ranges from the one after $last', ({ last, order }) => {
    expect(walked(split, last)).toEqual(order);
  });

  test('never offers a gateway, also where the walk starts or ends at it', () => {
    const [set] = sets(['10.1.0.0/29 10.1.0.2 10.1.0.4 10.1.0.3']);
    if (set === undefined) throw new RangeError('no set');
    expect(walked(set, undefined)).toEqual(['.2', '.4']);
    expect(walked(set, '10.1.0.2')).toEqual(['.4', '.2']);
    expect(walked(set, '10.1.0.3')).toEqual(['.4', '.2']);
  });

  test('offers nothing where the gateway is all there is', () => {
    const [set] = sets(['10.1.0.0/29 10.1.0.3 10.1.0.3 10.1.0.3']);
    if (set === undefined) throw new RangeError('no set');
    expect(walked(set, '10.1.0.3')).toEqual([]);
  });

  test('offers the former addresses first, but for those of another set and gateways', () => {
    const [set] = sets(['10.1.0.0/29']);
    if (set === undefined) throw new RangeError('no set');
    const former = ['fd00::5', '10.1.0.5', '10.1.0.1', 'lock'];
    const found = candidates({ index: 0, set, requested: undefined }, { last: ip('10.1.0.2'), former });
    expect([...found].map(({ ip: { text } }) => text.at(-1))).toEqual(['5', '3', '4', '5', '6', '2']);
  });

  test('does not enumerate a /64 to offer its first addresses, and can be walked again', () => {
    const [set] = sets(['fd00::/64']);
    if (set === undefined) throw new RangeError('no set');
    const found = candidates({ index: 0, set, requested: undefined }, { last: ip('fd00::ffff:ffff:ffff:ffff') });
    const first = () => found[Symbol.iterator]().next().value?.ip.text;
    expect([first(), first()]).toEqual(['fd00::2', 'fd00::2']);
  });
});

describe('planAllocations()', () => {
  const wishes = (changes: Partial<Wishes>): Wishes => ({
    sets: sets(['10.1.0.0/24'], ['fd00::/64'], ['10.2.0.0/24']),
    requested: [],
    containerId: 'c1',
    leases: [],
    ...changes,
  });

  test('deals requests out in their order, one per set', () => {
    const requested = ['fd00::9', '10.2.0.7', '10.1.0.7'].map(ip);
    const plan = planAllocations(wishes({ requested }));
    expect(plan.map((allocation) => allocation.requested?.ip.text)).toEqual(['10.1.0.7', 'fd00::9', '10.2.0.7']);
  });

  test('leaves sets without a request to the round robin', () => {
    const plan = planAllocations(wishes({ requested: [ip('10.2.0.7')] }));
    expect(plan.map((allocation) => allocation.requested?.ip.text)).toEqual([undefined, undefined, '10.2.0.7']);
  });

  test.each([
    {
      what: 'a second request for one set',
      changes: { requested: ['10.1.0.9', '10.1.0.7', '172.16.0.1'].map(ip) },
      error: { code: code.invalidConfig, message: 'failed to allocate all requested IPs: 10.1.0.7 172.16.0.1' },
    },
    {
      what: 'the gateway',
      changes: { requested: [ip('10.2.0.1')] },
      error: {
        code: code.conflict,
        message: "failed to allocate for range 2: requested ip 10.2.0.1 is subnet's gateway",
      },
    },
    {
      what: 'an attachment that has an address in a later set',
      changes: { leases: ['.draft-1', '192.168.0.1', 'fd00::5'] },
      error: {
        code: code.conflict,
        message:
          'failed to allocate for range 1: fd00::5 has been allocated to c1, duplicate allocation is not allowed',
      },
    },
    {
      what: 'the same with a request',
      changes: { leases: ['10.1.0.5'], requested: [ip('10.1.0.6')] },
      error: {
        code: code.conflict,
        message:
          'failed to allocate for range 0: 10.1.0.5 has been allocated to c1, duplicate allocation is not allowed',
      },
    },
  ])('refuses $what', ({ changes, error }) => {
    expect(() => planAllocations(wishes(changes))).toThrow(expect.objectContaining(error));
  });

  test('takes no offence at a lease outside the sets', () => {
    expect(planAllocations(wishes({ leases: ['192.168.0.1'] }))).toHaveLength(3);
  });
});
