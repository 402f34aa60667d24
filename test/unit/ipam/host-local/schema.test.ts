import { describe, expect, test } from 'vitest';
import { formatSet } from '../../../../ipam/host-local/ranges.ts';
import { parseConfig, parseConfigWithRanges, parseLocation } from '../../../../ipam/host-local/schema.ts';
import { DEFAULT_DATA_DIR } from '../../../../lib/attachment/store.ts';
import { code } from '../../../../lib/cni/errors.ts';
import type { NetConf } from '../../../../lib/cni/plugin.ts';

function netConf(ipam: object | undefined, keys: object = {}, cniVersion = '1.1.0'): NetConf {
  return { name: 'net1', cniVersion, raw: { name: 'net1', ...(ipam === undefined ? {} : { ipam }), ...keys } };
}

const v4 = { subnet: '10.1.0.0/24' };
const v6 = { subnet: 'fd00::/64' };

describe('parseConfig()', () => {
  test('puts ipRanges first, then the single range, then ranges', () => {
    const config = netConf(
      { ...v4, rangeEnd: '10.1.0.9', ranges: [[v6]] },
      { runtimeConfig: { ipRanges: [[{ subnet: '10.7.0.0/30' }]] } },
    );
    const { sets } = parseConfig(config, '');
    expect(sets.map(formatSet)).toEqual([
      '10.7.0.1-10.7.0.2',
      '10.1.0.1-10.1.0.9',
      'fd00::1-fd00::ffff:ffff:ffff:ffff',
    ]);
  });

  test('reads keys in any letter case, null and empty texts as absent', () => {
    const config = netConf({ SUBNET: '10.1.0.0/24', rangestart: '', gateway: null, Ranges: null, dataDir: null });
    expect(parseConfig(config, '').sets.map(formatSet)).toEqual(['10.1.0.1-10.1.0.254']);
  });

  test('ignores a single range without a subnet', () => {
    expect(parseConfig(netConf({ gateway: '10.1.0.1', ranges: [[v6]] }), '').sets).toHaveLength(1);
  });

  test('collects requests from CNI_ARGS, args and runtimeConfig, each once', () => {
    const config = netConf(v4, {
      args: { cni: { ips: ['10.1.0.8/16', '10.1.0.7'], labels: [] } },
      runtimeConfig: { ips: ['10.1.0.9', '10.1.0.8', 'FD00::0:9'] },
    });
    const { requested } = parseConfig(config, 'IgnoreUnknown=1;IP=10.1.0.7/24;K8S_POD_NAME=x');
    expect(requested.map(({ text }) => text)).toEqual(['10.1.0.7', '10.1.0.8', '10.1.0.9', 'fd00::9']);
  });

  test('writes routes in canonical text and keeps every key, 0 too', () => {
    const routes = [
      { dst: '0.0.0.0/0' },
      { dst: 'FD00:0::7/64', gw: 'FE80::0:1', mtu: 1400, advmss: 1360, priority: 5, table: 0, scope: 0 },
    ];
    expect(parseConfig(netConf({ ...v4, routes }), '').routes).toEqual([
      { dst: '0.0.0.0/0' },
      { dst: 'fd00::7/64', gw: 'fe80::1', mtu: 1400, advmss: 1360, priority: 5, table: 0, scope: 0 },
    ]);
  });

  test.each([
    { ipam: undefined, message: "IPAM config missing 'ipam' key" },
    { ipam: { subnet: '10.1/16' }, message: '"ipam.subnet": invalid CIDR address: 10.1/16' },
    { ipam: { subnet: '' }, message: '"ipam.subnet": invalid CIDR address: ' },
    { ipam: { subnet: '::ffff:10.1.0.0/120' }, message: '"ipam.subnet": invalid CIDR address' },
    { ipam: { ranges: [[v4, { gateway: 'x' }]] }, message: '"ipam.ranges[0][1].gateway": invalid IP address: x' },
    { ipam: { ranges: [v4] }, message: '"ipam.ranges[0]"' },
    { ipam: { ...v4, routes: [{ gw: '10.1.0.1' }] }, message: '"ipam.routes[0].dst"' },
    { ipam: { ...v4, routes: [{ dst: '0.0.0.0/0', scope: 256 }] }, message: '"ipam.routes[0].scope"' },
    { ipam: { ...v4, routes: [{ dst: '0.0.0.0/0', mtu: -1 }] }, message: '"ipam.routes[0].mtu"' },
    { ipam: { ...v4, dataDir: 'leases' }, message: '"ipam.dataDir": must be an absolute path' },
    { ipam: { ...v4, dataDir: '/a\0b' }, message: '"ipam.dataDir": must be an absolute path' },
    { ipam: { ...v4, resolvConf: 'resolv.conf' }, message: '"ipam.resolvConf": must be an absolute path' },
  ])('refuses $ipam', ({ ipam, message }) => {
    const act = () => parseConfig(netConf(ipam), '');
    expect(act).toThrow(
      expect.objectContaining({ code: code.invalidConfig, message: expect.stringContaining(message) }),
    );
  });

  test.each([
    { args: 'IP=foo', message: 'ARGS: error parsing value of pair "IP=foo": invalid IP address foo' },
    { args: 'MAC=x', message: 'ARGS: unknown args ["MAC=x"]' },
  ])('refuses CNI_ARGS $args', ({ args, message }) => {
    const act = () => parseConfig(netConf(v4), args);
    expect(act).toThrow(expect.objectContaining({ code: code.invalidEnvironment, message }));
  });

  test.each(['', '0.1.0', '0.2.0'])('refuses two sets of one family in version "%s"', (version) => {
    const ranges = [[v4], [{ subnet: '10.2.0.0/24' }]];
    expect(() => parseConfig(netConf({ ranges }, {}, version), '')).toThrow('more than 1 address per family');
    expect(parseConfig(netConf({ ranges }, {}, '0.3.0'), '').sets).toHaveLength(2);
  });
});

test('parseConfigWithRanges() asks for a range', () => {
  expect(parseConfig(netConf({}), '').sets).toEqual([]);
  expect(() => parseConfigWithRanges(netConf({}), '')).toThrow('no IP ranges specified');
});

describe('parseLocation()', () => {
  test('has the default folder for an absent and an empty dataDir', () => {
    const location = { dataDir: DEFAULT_DATA_DIR, network: 'net1' };
    expect([{}, { dataDir: '' }].map((ipam) => parseLocation(netConf(ipam)))).toEqual([location, location]);
  });

  test('looks at nothing but dataDir', () => {
    const ipam = { DataDir: '/leases', subnet: 'rubbish', ranges: 7 };
    expect(parseLocation(netConf(ipam))).toEqual({ dataDir: '/leases', network: 'net1' });
  });

  test('refuses a relative path', () => {
    expect(() => parseLocation(netConf({ dataDir: '../x' }))).toThrow('must be an absolute path');
  });
});
