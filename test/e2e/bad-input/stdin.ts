/** Stdin that is no configuration, or a wrong one. */

import { type BadCall, good, ipam, mapped, type Scene } from './scene.ts';

export const badStdin: BadCall[] = [
  { what: 'no stdin', spoil: () => ({ config: '' }), code: 6, names: 'stdin' },
  { what: 'stdin that is not JSON', spoil: () => ({ config: '{"name": "testnet",' }), code: 6, names: 'JSON' },
  {
    what: 'stdin with something after the JSON',
    spoil: (s) => ({ config: `${JSON.stringify(good(s))} x` }),
    code: 6,
    names: 'JSON',
  },
  { what: 'stdin that is a JSON array', spoil: () => ({ config: '[]' }), code: 6, names: 'object' },
  { what: 'stdin that is null', spoil: () => ({ config: 'null' }), code: 6, names: 'object' },
  { what: 'no network name', spoil: (s) => ({ config: good(s, { name: undefined }) }), code: 7, names: 'name' },
  { what: 'a network name that is a number', spoil: (s) => ({ config: good(s, { name: 5 }) }), code: 6, names: 'name' },
  {
    what: 'a cniVersion that is a number',
    spoil: (s) => ({ config: good(s, { cniVersion: 1 }) }),
    code: 6,
    names: 'cniVersion',
  },
  {
    what: 'an unknown cniVersion',
    spoil: (s) => ({ config: good(s, { cniVersion: '9.9.9' }) }),
    code: 1,
    names: '9.9.9',
  },
  {
    what: 'a cniVersion of the wrong shape',
    spoil: (s) => ({ config: good(s, { cniVersion: 'x' }) }),
    code: 1,
    names: /"x"/,
  },
  ...(
    [
      ['mtu', 'big'],
      ['isGateway', 'yes'],
      ['bridge', 7],
      ['ipam', 'host-local'],
      ['mtu', -1],
    ] as const
  ).map(([key, value]) => ({
    what: `"${key}": ${JSON.stringify(value)}`,
    spoil: (s: Scene) => ({ config: good(s, { [key]: value }) }),
    code: 7,
    names: key,
  })),
  ...(
    [
      ['ranges', 5],
      ['ranges', [[{ subnet: 5 }]]],
      ['routes', [{ dst: 'here' }]],
      ['dataDir', 7],
    ] as const
  ).map(([key, value]) => ({
    what: `"ipam": {"${key}": ${JSON.stringify(value)}}`,
    spoil: (s: Scene) => ({ config: ipam(s, { [key]: value }) }),
    code: 7,
    names: key,
  })),
];

export const badRanges: BadCall[] = (
  [
    ['a CIDR with host bits', [[{ subnet: '10.7.0.1/24' }]], '10.7.0.0/24'],
    ['a /31', [[{ subnet: '10.7.0.0/31' }]], '10.7.0.0/31'],
    ['a /127', [[{ subnet: 'fd00::/127' }]], 'fd00::/127'],
    ['a range start of the wrong family', [[{ subnet: '10.7.0.0/24', rangeStart: 'fd00::5' }]], 'fd00::5'],
    ['a range start outside', [[{ subnet: '10.7.0.0/24', rangeStart: '10.8.0.5' }]], '10.8.0.5'],
    ['a gateway of the wrong family', [[{ subnet: '10.7.0.0/24', gateway: 'fd00::1' }]], 'fd00::1'],
    ['both families in one set', [[{ subnet: '10.7.0.0/24' }, { subnet: 'fd00::/64' }]], /famil/],
    ['overlapping ranges', [[{ subnet: '10.7.0.0/24' }, { subnet: '10.7.0.0/16' }]], /overlap/],
    ['overlapping range sets', [[{ subnet: '10.7.0.0/24' }], [{ subnet: '10.7.0.0/25' }]], /overlap/],
    ['an empty range set', [[]], /range set/],
    ['no ranges', [], /range/],
    ['no CIDR at all', [[{ subnet: 'ten' }]], 'ten'],
  ] as const
).flatMap(([what, ranges, names]) =>
  (['bridge', 'host-local'] as const).map((plugin) => ({
    what: `${what} (${plugin})`,
    spoil: (s: Scene) => ({ config: ipam(s, { ranges }) }),
    code: 7,
    names,
    plugin,
  })),
);

/** Values that a plugin's keys cannot have. */
export const badKeys: BadCall[] = [
  ...(
    [
      [{ vlan: 4095 }, 'vlan'],
      [{ vlan: -1 }, 'vlan'],
      [{ vlanTrunk: [{ minID: 9, maxID: 3 }] }, 'minID'],
      [{ vlanTrunk: [{ id: 0 }] }, 'trunk'],
      [{ disableContainerInterface: true }, 'DisableContainerInterface'],
      [{ ipMasq: 'v5' }, 'ipMasq'],
      [{ ipMasqBackend: 'pf' }, 'pf'],
      [{ overlap: 'ignore' }, 'overlap'],
    ] as const
  ).map(([keys, names]) => ({
    what: JSON.stringify(keys),
    spoil: (s: Scene) => ({ config: good(s, keys) }),
    code: 7,
    names,
  })),
  {
    what: 'portmap with "backend": "pf"',
    spoil: (s) => ({ config: mapped(s, {}, { backend: 'pf' }) }),
    code: 7,
    names: 'pf',
    plugin: 'portmap',
  },
];

export const badMappings: BadCall[] = (
  [
    [{ hostPort: 0 }, /hostPort|host port/],
    [{ hostPort: 65_536 }, /65536/],
    [{ hostPort: -1 }, /hostPort|host port/],
    [{ hostPort: '80' }, /hostPort|host port/],
    [{ containerPort: 0 }, /containerPort|container port/],
    [{ containerPort: 65_536 }, /65536/],
    [{ protocol: 'icmp' }, /icmp/],
    [{ hostIP: 'here' }, /hostIP|here/],
  ] as const
).map(([mapping, names]) => ({
  what: `port mapping with ${JSON.stringify(mapping)}`,
  spoil: (s) => ({ config: mapped(s, mapping) }),
  code: 7,
  names,
  plugin: 'portmap',
}));

export const badPrevResults: BadCall[] = [
  ...(['ADD', 'CHECK'] as const).map((command) => ({
    what: `portmap ${command} without prevResult`,
    spoil: (s: Scene) => ({ command, config: mapped(s, {}, { prevResult: undefined }) }),
    code: 7,
    names: 'prevResult',
    plugin: 'portmap' as const,
  })),
  {
    what: 'bridge CHECK without prevResult',
    spoil: (s) => ({ command: 'CHECK', config: good(s) }),
    code: 7,
    names: 'prevResult',
    // The lease is what CHECK asks for first.
    prepare: ({ world }) => world.lease('10.7.0.2', 'container1'),
  },
  ...(
    [
      ['a text', 'torn'],
      ['a list', []],
      ['without addresses that are any', { cniVersion: '1.1.0', ips: [{ address: '10.7.0/24' }] }],
      ['with ips that are a number', { cniVersion: '1.1.0', ips: 5 }],
      ['of another family of versions', { cniVersion: '0.2.0', ip4: { ip: '10.7.0.2/24' } }],
    ] as const
  ).map(([what, torn]) => ({
    what: `prevResult that is ${what}`,
    spoil: (s: Scene) => ({ config: mapped(s, {}, { prevResult: torn }) }),
    code: 7,
    names: /prevResult/,
    plugin: 'portmap' as const,
  })),
];
