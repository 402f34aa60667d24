/** VLANs: from the configuration to the lines of bridge(8), and back from what it shows. */

import { describe, expect, test } from 'vitest';
import { renderBatch } from '../../../../lib/iproute2/batch.ts';
import {
  isGatewayName,
  parseVlans,
  planGatewayVlans,
  planPortVlans,
  type Vlans,
  vlanDifference,
} from '../../../../plugins/bridge/vlan.ts';

const keys = { vlan: 0, vlanTrunk: undefined, preserveDefaultVlan: false };

function vlans(over: Partial<Vlans>): Vlans {
  return { native: 0, trunk: [], keepsDefault: false, ...over };
}

function lines(commands: Parameters<typeof renderBatch>[0]): string[] {
  return renderBatch(commands)
    .split('\n')
    .filter((line) => line !== '');
}

describe('parseVlans()', () => {
  test.each([
    [
      [{ id: 7 }, { minID: 3, maxID: 5 }, { id: 4 }],
      [3, 4, 5, 7],
    ],
    [[{ minID: 3, maxID: 3, id: 9 }], [3, 9]],
    [
      [{ id: 1 }, { id: 4094 }],
      [1, 4094],
    ],
    [[{}], []],
    [[], []],
  ])('sorts %j, each once', (vlanTrunk, trunk) => {
    expect(parseVlans({ ...keys, vlanTrunk })).toEqual(vlans({ trunk }));
  });
  test('is undefined where nothing is asked for', () => {
    expect(parseVlans({ ...keys, preserveDefaultVlan: true })).toBeUndefined();
  });
});

const cleared = 'vlan del dev veth1 vid 1-4094 master';

describe('planPortVlans()', () => {
  test.each([
    ['one VLAN', { native: 5 }, [cleared, 'vlan add dev veth1 vid 5 pvid untagged master']],
    ['one beside the default', { native: 5, keepsDefault: true }, ['vlan add dev veth1 vid 5 pvid untagged master']],
    [
      'a VLAN and a trunk',
      { native: 5, trunk: [10, 11, 12, 20] },
      [
        cleared,
        'vlan add dev veth1 vid 5 pvid untagged master',
        'vlan add dev veth1 vid 10-12 master',
        'vlan add dev veth1 vid 20 master',
      ],
    ],
    [
      'a trunk alone, whose untagged frames are in VLAN 1',
      { trunk: [1, 7] },
      [
        cleared,
        'vlan add dev veth1 vid 1 master',
        'vlan add dev veth1 vid 7 master',
        'vlan add dev veth1 vid 1 pvid untagged master',
      ],
    ],
    ['an empty trunk', {}, []],
  ])('of %s', (_what, over, expected) => {
    expect(lines(planPortVlans('veth1', vlans(over)))).toEqual(expected);
  });
});

describe('planGatewayVlans()', () => {
  const asked = vlans({ native: 5, trunk: [10] });
  test('puts a new port into its VLAN alone', () => {
    expect(lines(planGatewayVlans('veth1', asked, true))).toEqual([
      cleared,
      'vlan add dev veth1 vid 5 pvid untagged master',
    ]);
  });
  test('makes sure of the VLAN of one that is there', () => {
    expect(lines(planGatewayVlans('veth1', asked, false))).toEqual(['vlan add dev veth1 vid 5 pvid untagged master']);
  });
});

const own = { vlan: 5, flags: ['PVID', 'Egress Untagged'] };
const first = { vlan: 1, flags: ['PVID', 'Egress Untagged'] };

describe('vlanDifference()', () => {
  test.each([
    [{ native: 5 }, [own], undefined],
    [{ native: 5 }, [], 'VLAN 5 is missing, expected native and untagged'],
    [{ native: 5 }, [{ vlan: 5 }], 'VLAN 5 is tagged, expected native and untagged'],
    [{ native: 5 }, [{ vlan: 5, flags: ['Egress Untagged'] }], 'VLAN 5 is untagged, expected native and untagged'],
    [{ native: 5 }, [{ vlan: 5, flags: ['PVID'] }], 'VLAN 5 is native and tagged, expected native and untagged'],
    [{ native: 5 }, [own, { vlan: 1, flags: ['Egress Untagged'] }], 'VLAN 1 is untagged, expected missing'],
    [{ native: 5, keepsDefault: true }, [own, { vlan: 1, flags: ['Egress Untagged'] }], undefined],
    [{ native: 5, trunk: [10, 11] }, [own, { vlan: 10, vlanEnd: 11 }], undefined],
    [{ native: 5, trunk: [10, 11] }, [own, { vlan: 10 }], 'VLAN 11 is missing, expected tagged'],
    // The last line about an ID wins, as with the reference.
    [{ native: 5, trunk: [5] }, [{ vlan: 5 }], undefined],
    [{ trunk: [1, 7] }, [first, { vlan: 7 }], undefined],
    [{ trunk: [7] }, [{ vlan: 7 }], 'VLAN 1 is missing, expected native and untagged'],
  ])('of %j and %j', (over, present, expected) => {
    expect(vlanDifference(vlans(over), present)).toBe(expected);
  });
});

test.each([
  ['cni0.5', true],
  ['cni0.4094', true],
  ['cni0', false],
  ['cni0.', false],
  ['cni0.x', false],
  ['cni1.5', false],
  ['cni0.5.6', false],
])('isGatewayName() of %s', (name, expected) => {
  expect(isGatewayName('cni0', name)).toBe(expected);
});
