/** The delegate's configuration, to the byte as the original makes it. */
import { describe, expect, test } from 'vitest';
import { encodeCompact } from '../../../../lib/cni/json.ts';
import { environmentOf, planDelegate, withKeys } from '../../../../plugins/flannel/plan.ts';
import { parseConfig } from '../../../../plugins/flannel/schema.ts';
import { parseSubnetEnv, type SubnetEnv } from '../../../../plugins/flannel/subnet-env.ts';
import { fakeCall } from '../../lib/cni/fake-call.ts';
import { DELEGATED, DUAL_SUBNET_ENV, MANIFEST, SUBNET_ENV } from './fixtures.ts';

function environment(text: string): SubnetEnv {
  const env = parseSubnetEnv(text);
  if ('missing' in env) throw new Error('the fixture is incomplete');
  return env;
}

function plan(config: object, text = SUBNET_ENV): string {
  const call = fakeCall({ ...MANIFEST, ...config });
  return encodeCompact(planDelegate(call.config, parseConfig(call), environment(text)));
}

/** `DELEGATED` with other values for some keys; `undefined` takes one away. */
function delegatedWith(keys: object): object {
  return { ...(JSON.parse(DELEGATED) as object), ...keys };
}

const ipam = { ranges: [[{ subnet: '10.244.1.0/24' }]], routes: [{ dst: '10.244.0.0/16' }], type: 'host-local' };

describe('planDelegate()', () => {
  test('makes of the manifest what the original does', () => {
    expect(plan({})).toBe(DELEGATED);
  });

  test('makes of a list without cniVersion one without', () => {
    expect(plan({ cniVersion: '' })).toBe(DELEGATED.replace('"cniVersion":"0.3.1",', ''));
  });

  test('dual stack: a range set of each family, a route to each network', () => {
    expect(plan({}, DUAL_SUBNET_ENV)).toBe(
      DELEGATED.replace(
        '[[{"subnet":"10.244.1.0/24"}]]',
        '[[{"subnet":"10.244.1.0/24"}],[{"subnet":"fd00:10:244:1::/64"}]]',
      ).replace('[{"dst":"10.244.0.0/16"}]', '[{"dst":"10.244.0.0/16"},{"dst":"fd00:10:244::/56"}]'),
    );
  });

  test.each([
    ['nothing but the type', { delegate: undefined }, { hairpinMode: undefined, isDefaultGateway: undefined }],
    [
      'keys of the delegate',
      { delegate: { bridge: 'br1', mtu: 1400, ipMasq: true, isGateway: false, forceAddress: true } },
      {
        hairpinMode: undefined,
        isDefaultGateway: undefined,
        bridge: 'br1',
        mtu: 1400,
        ipMasq: true,
        isGateway: false,
        forceAddress: true,
      },
    ],
    ['a value of null, which is a value', { delegate: { ...MANIFEST.delegate, mtu: null } }, { mtu: null }],
    [
      'keys of ipam',
      { ipam: { type: 'host-local', dataDir: '/run/leases', reclaim: false } },
      { ipam: { ...ipam, dataDir: '/run/leases', reclaim: false } },
    ],
    ['another IPAM plugin', { ipam: { type: 'dhcp' } }, { ipam: { ...ipam, type: 'dhcp' } }],
    ['ranges, which flannel sets', { ipam: { ranges: [[{ subnet: '10.9.0.0/24' }]] } }, { ipam }],
    [
      'routes, before those to the networks',
      { ipam: { routes: [{ dst: '0.0.0.0/0', gw: '10.244.1.9', unknown: 1 }] } },
      { ipam: { ...ipam, routes: [{ dst: '0.0.0.0/0', gw: '10.244.1.9' }, ...ipam.routes] } },
    ],
    [
      'what the runtime asks for',
      { runtimeConfig: { mac: '02:00:00:00:00:09' } },
      { runtimeConfig: { mac: '02:00:00:00:00:09' } },
    ],
    [
      'host ports, which bridge forwards itself',
      { capabilities: { portMappings: true }, delegate: { ...MANIFEST.delegate, portmap: { snat: false } } },
      { capabilities: { portMappings: true }, portmap: { snat: false } },
    ],
    [
      'a version in the delegate, over which the list goes',
      { delegate: { ...MANIFEST.delegate, cniVersion: '0.1.0' } },
      {},
    ],
    ['what is the list’s own', { prevResult: {}, dns: { domain: 'a' }, args: {}, capabilities: { mac: true } }, {}],
  ])('takes %s', (_what, config, keys) => {
    const made = plan(config);
    expect(JSON.parse(made)).toEqual(JSON.parse(JSON.stringify(delegatedWith(keys))));
  });

  test('another plugin is no gateway by itself', () => {
    const made = JSON.parse(plan({ delegate: { type: 'ptp' }, capabilities: { portMappings: true } })) as object;
    expect(made).toEqual({ cniVersion: '0.3.1', ipMasq: false, ipam, mtu: 1450, name: 'cbr0', type: 'ptp' });
  });

  test('the delegate masquerades where flanneld does not', () => {
    expect(plan({}, SUBNET_ENV.replace('IPMASQ=true', 'IPMASQ=false'))).toBe(
      DELEGATED.replace('"ipMasq":false', '"ipMasq":true'),
    );
  });

  test('sorts keys all the way down', () => {
    const made = plan({ delegate: { zone: { b: [{ d: 1, c: 2 }], a: 1 }, able: 1 } });
    expect(made).toContain('{"able":1,"cniVersion"');
    expect(made).toContain('"zone":{"a":1,"b":[{"c":2,"d":1}]}}');
  });
});

describe('environmentOf()', () => {
  test('goes by the addresses that ADD gave', () => {
    const ips = [{ address: '10.244.1.5/24' }, { address: 'fd00:10:244:1::5/64' }];
    const call = fakeCall(MANIFEST);
    const env = environmentOf({ interfaces: [], ips, routes: [], dns: {} });
    const made = planDelegate(call.config, parseConfig(call), env);
    const ranges = [[{ subnet: '10.244.1.0/24' }], [{ subnet: 'fd00:10:244:1::/64' }]];
    expect(made).toMatchObject({ ipMasq: true, ipam: { ranges, routes: [] } });
    expect(made).not.toHaveProperty('mtu');
  });

  test('without any, there are no ranges', () => {
    expect(environmentOf(undefined)).toMatchObject({ subnets: [], networks: [] });
  });
});

test('withKeys() adds keys of this call, in its version', () => {
  const stored = JSON.parse(DELEGATED) as { [key: string]: unknown };
  const call = fakeCall({ ...MANIFEST, cniVersion: '1.1.0' });
  expect(encodeCompact(withKeys(stored, call.config, { prevResult: { ips: [] } }))).toBe(
    DELEGATED.replace('0.3.1', '1.1.0').replace(',"type":"bridge"}', ',"prevResult":{"ips":[]},"type":"bridge"}'),
  );
});

describe('parseConfig() refuses', () => {
  test.each([
    [{ delegate: { name: 'x' } }, "'delegate' dictionary must not have 'name' field, it'll be set by flannel"],
    [{ delegate: { ipam: {} } }, "'delegate' dictionary must not have 'ipam' field, it'll be set by flannel"],
    [{ delegate: { type: 1 } }, "'delegate' dictionary, if present, must have (string) 'type' field"],
    [{ delegate: { type: 'flannel' } }, 'invalid "delegate.type": flannel cannot delegate to itself'],
    [{ delegate: [] }, 'invalid flannel configuration: "delegate": must be an object, not []'],
    [{ subnetFile: 'subnet.env' }, 'invalid flannel configuration: "subnetFile": must be an absolute path'],
    [{ subnetFileWaitMs: -1 }, 'invalid flannel configuration: "subnetFileWaitMs": must be at least 0, not -1'],
    [{ ipam: { routes: [{ dst: 'nowhere' }] } }, 'invalid "ipam.routes": "[0].dst": is no CIDR like 10.1.0.5/24'],
  ])('%j', (config, message) => {
    expect(() => parseConfig(fakeCall({ ...MANIFEST, ...config }))).toThrow(
      expect.objectContaining({ code: 7, message }),
    );
  });

  test('nothing of that in DEL, but what names no delegate', () => {
    const config = { delegate: { name: 'x', ipam: {} }, ipam: { routes: 'all' } };
    expect(parseConfig(fakeCall({ ...MANIFEST, ...config }, { verb: 'DEL' }))).toMatchObject({
      type: 'bridge',
      routes: [],
    });
  });
});
