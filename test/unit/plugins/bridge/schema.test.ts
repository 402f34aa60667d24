/** The bridge's configuration: defaults, rules between keys, and what each verb makes of a bad one. */

import { describe, expect, test } from 'vitest';
import { code } from '../../../../lib/cni/errors.ts';
import { parseConfig } from '../../../../plugins/bridge/schema.ts';
import { fakeCall } from '../../lib/cni/fake-call.ts';
import { configured } from './fixtures.ts';

const DEFAULTS = {
  bridge: 'cni0',
  isGateway: false,
  isDefaultGateway: false,
  forceAddress: false,
  ipMasq: [],
  ipMasqBackend: undefined,
  mtu: undefined,
  hairpinMode: false,
  promiscMode: false,
  vlans: undefined,
  macSpoofCheck: false,
  portIsolation: false,
  enableDad: false,
  staysDown: false,
  overlap: 'warn',
  ipamType: '',
  ipamTimeoutMs: 120_000,
  dns: undefined,
  mac: undefined,
  // ./pointless.test.ts
  pointless: expect.any(Array),
};

test.each([
  [{ ipMasq: true }, [4, 6]],
  [{ ipMasq: 'v4' }, [4]],
  [{ IpMasq: 'v6' }, [6]],
  [{ ipMasq: null }, []],
  [{ ipMasq: true, ipam: {} }, []],
])('the families that %j masquerades: %j', (keys, families) => {
  expect(configured({ ipam: { type: 'host-local' }, ...keys }).ipMasq).toEqual(families);
});

test('ipMasqBackend names the firewall', () => {
  expect(configured({ ipMasqBackend: 'nftables' }).ipMasqBackend?.backend).toBe('nftables');
  expect(() => configured({ ipMasq: 'v4', ipMasqBackend: 'pf' })).toThrow('unknown ipmasq backend "pf"');
  expect(() => configured({ ipMasq: 'v5' })).toThrow('"ipMasq": must be true, false, "v4" or "v6"');
});

test('ruleLayout takes the place of the firewall', () => {
  for (const ipMasqBackend of ['', 'nftables']) {
    expect(configured({ ruleLayout: 'sets', ipMasqBackend }).ipMasqBackend?.backend).toBe('sets');
  }
  expect(configured({ ruleLayout: 'reference', ipMasqBackend: 'iptables' }).ipMasqBackend?.backend).toBe('iptables');
  expect(() => configured({ ruleLayout: 'flat' })).toThrow('invalid "ruleLayout" "flat"');
  expect(() => configured({ ruleLayout: 'sets', ipMasqBackend: 'iptables' })).toThrow(
    '"ruleLayout": "sets" cannot be written in iptables, which "ipMasqBackend" asks for',
  );
  expect(() => configured({ ipMasq: true, ipMasqBackend: 'sets' })).toThrow('unknown ipmasq backend "sets"');
});

describe('parseConfig() makes of', () => {
  test.each([
    [{}, {}],
    [{ isDefaultGateway: true }, { isDefaultGateway: true, isGateway: true }],
    [{ ISGATEWAY: true, IpMasq: true }, { isGateway: true }],
    [{ mtu: 0 }, {}],
    [{ mtu: 1450 }, { mtu: 1450 }],
    [{ bridge: null, mtu: null, ipam: null, dns: null, args: null, runtimeConfig: null, vlanTrunk: null }, {}],
    [{ bridge: 'br-lan.5' }, { bridge: 'br-lan.5' }],
    [{ ipam: {} }, {}],
    [{ ipam: { type: 'host-local', subnet: '10.0.0.0/8' } }, { ipamType: 'host-local' }],
    [{ ipamTimeoutSeconds: 5 }, { ipamTimeoutMs: 5000 }],
    [{ hairpinMode: true }, { hairpinMode: true }],
    [
      { promiscMode: true, forceAddress: true },
      { promiscMode: true, forceAddress: true },
    ],
    [{ ipMasqBackend: 'pf' }, {}],
    [{ vlan: 0, macspoofchk: false, portIsolation: false, enabledad: false }, {}],
    [
      { macspoofchk: true, portIsolation: true },
      { macSpoofCheck: true, portIsolation: true },
    ],
    [
      { enabledad: true, disableContainerInterface: true },
      { enableDad: true, staysDown: true },
    ],
    [{ overlap: 'fail' }, { overlap: 'fail' }],
    [{ vlan: 5 }, { vlans: { native: 5, trunk: [], keepsDefault: false } }],
    [{ vlan: 4094, preserveDefaultVlan: true }, { vlans: { native: 4094, trunk: [], keepsDefault: true } }],
    [{ vlanTrunk: [] }, { vlans: { native: 0, trunk: [], keepsDefault: false } }],
    [{ preserveDefaultVlan: true }, {}],
    [{ unknown: 1, capabilities: { mac: true } }, {}],
  ])('%j', (keys, expected) => {
    expect(configured(keys)).toEqual({ ...DEFAULTS, ...expected });
  });
});

const none = { nameservers: [], domain: '', search: [], options: [] };

test.each([
  [{}, undefined],
  [{ domain: '' }, undefined],
  [{ domain: 'x' }, { ...none, domain: 'x' }],
  [{ nameservers: [] }, none],
  [{ search: ['a'] }, { ...none, search: ['a'] }],
  [{ options: ['ndots:5'] }, { ...none, options: ['ndots:5'] }],
])('"dns" of %j', (dns, expected) => {
  expect(configured({ dns }).dns).toEqual(expected);
});

describe('the MAC address', () => {
  const runtimeConfig = { mac: '02:00:00:00:00:0A' };
  const args = { cni: { mac: '02-00-00-00-00-0b' } };
  const env = 'MAC=02:00:00:00:00:0c';
  test.each([
    [{ runtimeConfig, args }, env, '02:00:00:00:00:0a'],
    [{ args }, env, '02:00:00:00:00:0b'],
    [{ runtimeConfig: { mac: '' }, args }, env, '02:00:00:00:00:0b'],
    [{}, env, '02:00:00:00:00:0c'],
    [{ runtimeConfig: {}, args: { cni: { mac: '' } } }, env, '02:00:00:00:00:0c'],
    [{}, 'MAC=', undefined],
    [{ mac: '02:00:00:00:00:0d' }, '', undefined],
  ])('of %j and %j is %s', (keys, cniArgs, expected) => {
    expect(parseConfig(fakeCall(keys, { args: cniArgs })).mac).toBe(expected);
  });
  test.each(['x', '01:00:5e:00:00:01', '00:00:00:00:00:00', '02:00:00:00:00:01\n'])('cannot be %j', (mac) => {
    expect(() => configured({ runtimeConfig: { mac } })).toThrow(
      expect.objectContaining({
        code: code.invalidConfig,
        message: `cannot use MAC address ${JSON.stringify(mac)}: it is no unicast MAC address`,
      }),
    );
  });
  test('is looked for in CNI_ARGS alone, whose other keys are refused', () => {
    expect(() => parseConfig(fakeCall({}, { args: 'IP=10.0.0.5' }))).toThrow(
      expect.objectContaining({ code: code.invalidEnvironment, message: 'ARGS: unknown args ["IP=10.0.0.5"]' }),
    );
    expect(parseConfig(fakeCall({}, { args: 'IP=10.0.0.5;IgnoreUnknown=1' })).mac).toBeUndefined();
  });
});

describe('what ADD refuses for its values does not keep a DEL from its work', () => {
  const both = 'cannot set hairpin mode and promiscuous mode at the same time';
  test.each([
    [{ hairpinMode: true, promiscMode: true }, both],
    [{ bridge: '' }, 'invalid "bridge" "": interface name is empty'],
    [{ bridge: 'x'.repeat(16) }, 'invalid "bridge" "xxxxxxxxxxxxxxxx": interface name is too long'],
    [{ bridge: '../eth0' }, /^invalid "bridge" "\.\.\/eth0": interface name contains/],
    [{ bridge: 'br%d' }, 'invalid "bridge" "br%d": it contains %'],
    [{ ipam: { type: 'bridge' } }, 'invalid "ipam.type": bridge is no IPAM plugin'],
    [{ runtimeConfig: { mac: 'x' } }, /^cannot use MAC address "x"/],
    [{ overlap: 'maybe' }, 'invalid "overlap" "maybe"'],
    [{ vlan: -1 }, 'invalid VLAN ID -1 (must be between 0 and 4094)'],
    [{ vlan: 4095 }, 'invalid VLAN ID 4095 (must be between 0 and 4094)'],
    [{ vlanTrunk: [{ minID: 0, maxID: 5 }] }, 'incorrect trunk minID parameter'],
    [{ vlanTrunk: [{ minID: 4095, maxID: 5 }] }, 'incorrect trunk minID parameter'],
    [{ vlanTrunk: [{ minID: 1, maxID: 4095 }] }, 'incorrect trunk maxID parameter'],
    [{ vlanTrunk: [{ minID: 1, maxID: 0 }] }, 'incorrect trunk maxID parameter'],
    [{ vlanTrunk: [{ minID: 6, maxID: 5 }] }, 'minID is greater than maxID in trunk parameter'],
    [{ vlanTrunk: [{ maxID: 5 }] }, 'minID and maxID should be configured simultaneously, minID is missing'],
    [{ vlanTrunk: [{ minID: 5, id: 7 }] }, 'minID and maxID should be configured simultaneously, maxID is missing'],
    [{ vlanTrunk: [{ id: 0 }] }, 'incorrect trunk id parameter'],
    [{ vlanTrunk: [{ id: 4095 }] }, 'incorrect trunk id parameter'],
    [
      { disableContainerInterface: true, ipam: { type: 'host-local' } },
      'cannot use IPAM when DisableContainerInterface flag is set',
    ],
    [
      { bridge: 'a-long-name', vlan: 4000, isGateway: true, ipam: { type: 'host-local' } },
      'cannot name the gateway of VLAN 4000 "a-long-name.4000": interface name is too long',
    ],
  ])('%j', (keys, message) => {
    const matched = typeof message === 'string' ? message : expect.stringMatching(message);
    const expected = expect.objectContaining({ code: code.invalidConfig, message: matched });
    expect(() => configured(keys)).toThrow(expected);
    expect(() => configured(keys, 'DEL')).not.toThrow();
  });
  test('a DEL does not ask the bridge plugin for addresses', () => {
    expect(configured({ ipam: { type: 'bridge' } }, 'DEL').ipamType).toBe('');
  });
  test('CNI_ARGS', () => {
    expect(() => parseConfig(fakeCall({}, { args: 'x' }))).toThrow('ARGS: invalid pair "x"');
    expect(() => parseConfig(fakeCall({}, { args: 'x', verb: 'DEL' }))).not.toThrow();
  });
});

describe('what has the wrong form is refused by every verb', () => {
  test.each([
    [{ bridge: 5 }, '"bridge": must be a string, not 5'],
    [{ isGateway: 'true' }, '"isGateway": must be true or false, not "true"'],
    [{ mtu: '1500' }, '"mtu": must be a number, not "1500"'],
    [{ mtu: -1 }, '"mtu": must be at least 0, not -1'],
    [{ mtu: 65_536 }, '"mtu": must be at most 65535, not 65536'],
    [{ ipam: 'host-local' }, '"ipam": must be an object, not "host-local"'],
    [{ ipam: { type: 1 } }, '"ipam.type": must be a string, not 1'],
    [{ dns: { search: 'a' } }, '"dns.search": must be a list, not "a"'],
    [{ ipamTimeoutSeconds: 0 }, '"ipamTimeoutSeconds": must be at least 1, not 0'],
    [{ vlan: 'x' }, '"vlan": must be a number, not "x"'],
    [{ vlanTrunk: 'x' }, '"vlanTrunk": must be a list, not "x"'],
    [{ overlap: 5 }, '"overlap": must be a string, not 5'],
  ])('%j', (keys, message) => {
    for (const verb of ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS'] as const) {
      expect(() => configured(keys, verb)).toThrow(
        expect.objectContaining({ code: code.invalidConfig, message: `invalid bridge configuration: ${message}` }),
      );
    }
  });
});

describe('an attachment without addresses', () => {
  test.each(['', '0.1.0', '0.2.0'])('has no result in version "%s": refused before anything is built', (cniVersion) => {
    const parse = (keys: object) => configured({ cniVersion, ...keys });
    expect(() => parse({})).toThrow(
      `cannot describe an attachment without addresses in a result of version ${cniVersion || '0.1.0'}`,
    );
    expect(() => parse({ ipam: { type: 'static' } })).not.toThrow();
    expect(() => configured({ cniVersion }, 'DEL')).not.toThrow();
  });
  test('has one from 0.3.0 on', () => {
    expect(() => configured({ cniVersion: '0.3.0' })).not.toThrow();
  });
});

test('an ifname that the kernel takes for a pattern is refused on ADD, and is no reason not to DEL', () => {
  const call = (verb: 'ADD' | 'DEL') => fakeCall({}, { ifname: 'eth%d', verb });
  expect(() => parseConfig(call('ADD'))).toThrow(
    expect.objectContaining({ code: code.invalidEnvironment, message: 'invalid CNI_IFNAME "eth%d": it contains %' }),
  );
  expect(() => parseConfig(call('DEL'))).not.toThrow();
});
