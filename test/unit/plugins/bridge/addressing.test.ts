/** Gateways, routes and DNS: what the IPAM result becomes. */

import { describe, expect, test } from 'vitest';
import type { Result, Route } from '../../../../lib/cni/result.ts';
import { formatCidr } from '../../../../lib/net/ip.ts';
import { nextHop, planAddressing } from '../../../../plugins/bridge/addressing.ts';
import { emptyResult } from '../../lib/cni/fake-call.ts';
import { cidr, configured, ip } from './fixtures.ts';

function plan(keys: object, ipam: Partial<Result>) {
  return planAddressing(configured(keys), { ...emptyResult, ...ipam });
}

describe('the gateway', () => {
  test.each([
    ['given', {}, { address: '10.1.0.5/24', gateway: '10.1.0.254' }, '10.1.0.254'],
    ['given, also for isGateway', { isGateway: true }, { address: '10.1.0.5/24', gateway: '10.1.0.254' }, '10.1.0.254'],
    ['none without isGateway', {}, { address: '10.1.0.5/24' }, undefined],
    ['the first of the network', { isGateway: true }, { address: '10.1.0.5/24' }, '10.1.0.1'],
    ['the first for isDefaultGateway', { isDefaultGateway: true }, { address: 'fd00::5/64' }, 'fd00::1'],
    ['the first, past the end of a /32', { isGateway: true }, { address: '10.1.0.5/32' }, '10.1.0.6'],
    ['the first of a /31', { isGateway: true }, { address: '10.1.0.5/31' }, '10.1.0.5'],
  ])('is %s', (_what, keys, address, expected) => {
    const { addresses } = plan(keys, { ips: [address] });
    expect(addresses.map(({ gateway }) => gateway?.text)).toEqual([expected]);
    expect(addresses.map((one) => formatCidr(one.cidr))).toEqual([address.address]);
  });

  test.each([
    [{ address: 'x' }, 'cannot use the IPAM result: address x with gateway none'],
    [{ address: '10.0.0.1/8', gateway: 'x' }, 'cannot use the IPAM result: address 10.0.0.1/8 with gateway x'],
  ])('%j is refused', (address, message) => {
    expect(() => plan({}, { ips: [address] })).toThrow(message);
  });
});

describe('routes', () => {
  const v4 = { address: '10.1.0.5/24', gateway: '10.1.0.1' };
  const v6 = { address: 'fd00::5/64', gateway: 'fd00::1' };
  const default4 = { dst: '0.0.0.0/0', gw: '10.1.0.1' };
  const default6 = { dst: '::/0', gw: 'fd00::1' };

  test("are the IPAM plugin's without isDefaultGateway", () => {
    const routes: Route[] = [{ dst: '0.0.0.0/0' }, { dst: '10.9.0.0/16', gw: '10.1.0.9', priority: 5 }];
    expect(plan({ isGateway: true }, { ips: [v4], routes }).routes).toEqual(routes);
  });

  test.each<{ what: string; ips: Result['ips']; routes: Route[]; expected: Route[] }>([
    { what: 'one default is added', ips: [v4], routes: [], expected: [default4] },
    { what: 'one per family', ips: [v4, v6], routes: [], expected: [default4, default6] },
    {
      what: 'one per family, by its first address',
      ips: [v4, { address: '10.2.0.5/24', gateway: '10.2.0.1' }],
      routes: [],
      expected: [default4],
    },
    {
      what: 'others stay before it',
      ips: [v4],
      routes: [{ dst: '10.9.0.0/16' }],
      expected: [{ dst: '10.9.0.0/16' }, default4],
    },
    {
      what: 'one with a gateway stays as it is',
      ips: [v4],
      routes: [{ dst: '0.0.0.0/0', gw: '10.1.0.77' }],
      expected: [{ dst: '0.0.0.0/0', gw: '10.1.0.77' }],
    },
    {
      what: 'one without gateway is the same route, in its place and with its settings',
      ips: [v4, v6],
      routes: [{ dst: '::/0', mtu: 1400 }, { dst: '10.9.0.0/16' }, { dst: '0.0.0.0/0', table: 254 }],
      expected: [{ ...default6, mtu: 1400 }, { dst: '10.9.0.0/16' }, { ...default4, table: 254 }],
    },
    {
      what: 'one of the other family does not count',
      ips: [v4],
      routes: [{ dst: '::/0', gw: 'fd00::9' }],
      expected: [{ dst: '::/0', gw: 'fd00::9' }, default4],
    },
    {
      what: 'one in a table of its own or with a metric is another route',
      ips: [v4],
      routes: [
        { dst: '0.0.0.0/0', table: 100 },
        { dst: '0.0.0.0/0', priority: 9 },
      ],
      expected: [{ dst: '0.0.0.0/0', table: 100 }, { dst: '0.0.0.0/0', priority: 9 }, default4],
    },
    {
      what: 'one with a gateway counts wherever it is',
      ips: [v4],
      routes: [{ dst: '0.0.0.0/0' }, { dst: '0.0.0.0/0', gw: '10.1.0.9', priority: 9 }],
      expected: [{ dst: '0.0.0.0/0' }, { dst: '0.0.0.0/0', gw: '10.1.0.9', priority: 9 }],
    },
  ])('for isDefaultGateway: $what', ({ ips, routes, expected }) => {
    const before = structuredClone(routes);
    expect(plan({ isDefaultGateway: true }, { ips, routes }).routes).toEqual(expected);
    expect(routes).toEqual(before);
  });
});

describe('nextHop()', () => {
  const addresses = [
    { cidr: cidr('10.0.0.5/8'), gateway: undefined },
    { cidr: cidr('fd00::5/64'), gateway: ip('fd00::1') },
    { cidr: cidr('10.1.0.5/24'), gateway: ip('10.1.0.1') },
    { cidr: cidr('10.2.0.5/24'), gateway: ip('10.2.0.1') },
  ];
  test.each([
    ["the route's own", { dst: '10.9.0.0/16', gw: '10.9.9.9' }, '10.9.9.9'],
    ['the first of the family that there is', { dst: '10.9.0.0/16' }, '10.1.0.1'],
    ['the first of the other family', { dst: '::/0' }, 'fd00::1'],
  ])('is %s', (_what, route, expected) => {
    expect(nextHop(route, addresses)).toBe(expected);
  });
  test('is none without a gateway of the family', () => {
    expect(nextHop({ dst: '::/0' }, [{ cidr: cidr('10.1.0.5/24'), gateway: ip('10.1.0.1') }])).toBeUndefined();
  });
});

test('"dns" of the configuration replaces the IPAM plugin\'s as a whole', () => {
  const dns = { nameservers: ['10.1.0.1'], domain: 'ipam' };
  const ips = [{ address: '10.1.0.5/24' }];
  expect(plan({}, { ips, dns }).dns).toEqual(dns);
  expect(plan({ dns: {} }, { ips, dns }).dns).toEqual(dns);
  expect(plan({ dns: { search: ['x'] } }, { ips, dns }).dns).toEqual({
    nameservers: [],
    domain: '',
    search: ['x'],
    options: [],
  });
});
