/** Configurations that are taken, and what is said about those that are not. */

import { describe, expect, test } from 'vitest';
import { type CniError, code } from '../../../../lib/cni/errors.ts';
import { asksForPorts, namedBackend, parsePortmapConfig } from '../../../../lib/hostports/schema.ts';

const ports = (...portMappings: unknown[]) => ({ runtimeConfig: { portMappings } });
const web = { hostPort: 8080, containerPort: 80, protocol: 'tcp' };

test('parsePortmapConfig() fills in the defaults', () => {
  expect(parsePortmapConfig({ type: 'portmap', capabilities: { portMappings: true } })).toEqual({
    snat: true,
    masqAll: false,
    markMasqBit: 13,
    conditionsV4: [],
    conditionsV6: [],
    excludeCIDRs: [],
    hostPortConflict: 'fail',
    mappings: [],
  });
});

test('parsePortmapConfig() reads mappings in any spelling', () => {
  const mapping = { HostPort: 53, containerPort: 5353, protocol: 'UDP', hostIP: '2001:DB8:0::1' };
  expect(parsePortmapConfig({ RuntimeConfig: { PortMappings: [mapping] } }).mappings).toEqual([
    { hostPort: 53, containerPort: 5353, protocol: 'udp', spelling: 'UDP', hostIp: '2001:db8::1' },
  ]);
});

describe('parsePortmapConfig() refuses', () => {
  test.each([
    [ports({ ...web, hostPort: 0 }), /portMappings\[0\]\.hostPort": 0 is no port \(1 to 65535\)/],
    [ports(web, { ...web, hostPort: 65536 }), /portMappings\[1\]\.hostPort": 65536 is no port/],
    [ports({ ...web, containerPort: -1 }), /portMappings\[0\]\.containerPort": -1 is no port/],
    [ports({ ...web, hostPort: '8080' }), /portMappings\[0\]\.hostPort"/],
    [ports({ hostPort: 1, protocol: 'tcp' }), /portMappings\[0\]\.containerPort"/],
    [ports({ ...web, protocol: 'icmp' }), /portMappings\[0\]\.protocol": "icmp" is no protocol/],
    [ports({ ...web, protocol: 'tcp\n-F' }), /portMappings\[0\]\.protocol"/],
    [ports({ hostPort: 1, containerPort: 1 }), /portMappings\[0\]\.protocol"/],
    [ports({ ...web, hostIP: 'localhost' }), /portMappings\[0\]\.hostIP": "localhost" is no IP address/],
    [{ runtimeConfig: { portMappings: 'x' } }, /runtimeConfig\.portMappings"/],
    [{ markMasqBit: 32 }, /MasqMarkBit must be between 0 and 31/],
    [{ markMasqBit: 3, externalSetMarkChain: 'X' }, /^Cannot specify externalSetMarkChain and markMasqBit$/],
    [{ externalSetMarkChain: 'A B' }, /externalSetMarkChain": is no name of an iptables chain/],
    [{ externalSetMarkChain: '-X' }, /externalSetMarkChain"/],
    [{ externalSetMarkChain: 'x'.repeat(29) }, /externalSetMarkChain"/],
    [{ conditionsV4: ['-d', '1.2.3.4\nCOMMIT'] }, /conditionsV4\[1\]": is no word/],
    [{ conditionsV6: ['-d', 'a\0'] }, /conditionsV6\[1\]": is no word/],
    [{ conditionsV4: [''] }, /conditionsV4\[0\]": is no word/],
    [
      { backend: 'iptables', conditionsV4: ['ip', 'daddr'], conditionsV6: ['ip6'] },
      /^iptables backend was requested but configuration contains nftables-specific options \[conditionsV4 conditionsV6\]$/,
    ],
    [
      { backend: 'nftables', externalSetMarkChain: 'X', conditionsV6: ['!', '-d', 'fd00::/8'] },
      /^nftables backend was requested but configuration contains iptables-specific options \[externalSetMarkChain conditionsV6\]$/,
    ],
    [
      { conditionsV4: ['-d', '10.0.0.0/8'], conditionsV6: ['ip6', 'daddr', 'fd00::/8'] },
      /^iptables backend was requested but configuration contains nftables-specific options \[conditionsV6\]$/,
    ],
    [{ backend: 'nftables', conditionsV4: ['ip', 'daddr', '10.0.0.1;', 'flush'] }, /"conditionsV4": is no part of/],
    [{ conditionsV6: ['iifname', '"eth0'] }, /"conditionsV6": is no part of an nftables rule/],
    [{ backend: 'ipvs' }, /^unrecognized backend "ipvs"$/],
    [{ snat: 'yes' }, /"snat"/],
    [{ excludeCIDRs: ['192.0.2.10/32', '192.0.2.11'] }, /excludeCIDRs\[1\]": "192.0.2.11" is no network such as/],
    [{ excludeCIDRs: ['0.0.0.0/0'] }, /excludeCIDRs\[0\]"/],
    [{ ruleLayout: 'flat' }, /"ruleLayout": "flat" is neither "reference" nor "sets"$/],
    [
      { ruleLayout: 'sets', backend: 'iptables' },
      /^"ruleLayout": "sets" cannot be written in iptables, which "backend" asks for$/,
    ],
    [
      { ruleLayout: 'sets', conditionsV4: ['ip', 'saddr', '10.0.0.1'], hostPortConflict: 'warn' },
      /^"ruleLayout": "sets" has no form for conditionsV4, "hostPortConflict": "warn"$/,
    ],
    [{ ruleLayout: 'sets', externalSetMarkChain: 'X' }, /has no form for externalSetMarkChain$/],
    [{ backend: 'sets' }, /^unrecognized backend "sets"$/],
    [{ hostPortConflict: 'first' }, /"hostPortConflict": "first" is neither "fail" nor "warn"$/],
  ])('%j', (raw, message) => {
    expect(() => parsePortmapConfig(raw)).toThrow(
      expect.objectContaining({ code: code.invalidConfig, message: expect.stringMatching(message) }) as CniError,
    );
  });
});

test.each([
  [{}, undefined],
  [{ backend: 'nftables' }, 'nftables'],
  [{ backend: 'iptables' }, 'iptables'],
  [{ externalSetMarkChain: 'KUBE-MARK-MASQ' }, 'iptables'],
  [{ conditionsV6: ['!', '-d', 'fd00::/8'] }, 'iptables'],
  [{ conditionsV4: ['ip', 'daddr', '!=', '{', '10.0.0.0/8', '}'] }, 'nftables'],
  [{ ruleLayout: 'sets', backend: 'nftables', masqAll: true, excludeCIDRs: ['192.0.2.0/24'] }, 'sets'],
  [{ ruleLayout: 'reference', backend: 'nftables' }, 'nftables'],
  [{ backend: 'nftables', markMasqBit: 20, masqAll: true, conditionsV4: ['iifname', '"eth0"'] }, 'nftables'],
])('the backend that %j asks for: %s', (raw, expected) => {
  expect(parsePortmapConfig(raw).configured?.backend).toBe(expected);
  expect(namedBackend(raw)).toBe(expected);
});

test('the backend of a configuration that is wrong is not asked for', () => {
  expect(namedBackend({ backend: 'ipvs' })).toBeUndefined();
});

test.each([
  [{}, false],
  [ports(), false],
  [{ runtimeConfig: null }, false],
  [ports({ hostPort: 0 }), true],
  [{ RuntimeConfig: { portmappings: [{}] } }, true],
  [{ runtimeConfig: 'torn' }, true],
])('asksForPorts() of %j: %s', (raw, expected) => {
  expect(asksForPorts(raw)).toBe(expected);
});
