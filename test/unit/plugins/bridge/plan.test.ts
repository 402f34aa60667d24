/** What an ADD sends to the kernel, to the word. */

import { describe, expect, test } from 'vitest';
import { renderBatch } from '../../../../lib/iproute2/batch.ts';
import {
  planContainerBatch,
  planContainerSysctls,
  planHostBatch,
  planHostSysctls,
  planResult,
} from '../../../../plugins/bridge/plan.ts';
import { attachmentOf, netns } from './fixtures.ts';

const v4 = { address: '10.1.0.5/24', gateway: '10.1.0.1' };
const v6 = { address: 'fd00::5/64', gateway: 'fd00::1' };

function lines(commands: Parameters<typeof renderBatch>[0]): string[] {
  return renderBatch(commands).trim().split('\n');
}

describe('planHostBatch()', () => {
  const near = 'link add name veth01020304 address 02:00:00:00:00:01';
  const far = 'type veth peer name eth0 address 02:00:00:00:00:02';
  test.each([
    ['as usual', {}, [`${near} txqueuelen 0 master cni0 up ${far} netns /proc/9/fd/5`]],
    [
      'with mtu',
      { mtu: 1450, bridge: 'br1' },
      [`${near} mtu 1450 txqueuelen 0 master br1 up ${far} mtu 1450 netns /proc/9/fd/5`],
    ],
    [
      'with hairpin',
      { hairpinMode: true },
      [
        `${near} txqueuelen 0 master cni0 up ${far} netns /proc/9/fd/5`,
        'link set dev veth01020304 type bridge_slave hairpin on',
      ],
    ],
    [
      'isolated from other ports',
      { portIsolation: true },
      [
        `${near} txqueuelen 0 master cni0 up ${far} netns /proc/9/fd/5`,
        'link set dev veth01020304 type bridge_slave isolated on',
      ],
    ],
    [
      'with hairpin and isolated, in one line',
      { hairpinMode: true, portIsolation: true },
      [
        `${near} txqueuelen 0 master cni0 up ${far} netns /proc/9/fd/5`,
        'link set dev veth01020304 type bridge_slave hairpin on isolated on',
      ],
    ],
  ])('%s', (_what, keys, expected) => {
    expect(lines(planHostBatch(attachmentOf(keys, {}), '/proc/9/fd/5'))).toEqual(expected);
  });
});

test('planHostBatch() lets the link with the gateway addresses forget who had the address before', () => {
  const attachment = attachmentOf({ vlan: 5 }, { ips: [v4, v6] });
  expect(lines(planHostBatch(attachment, '/proc/9/fd/5', 'cni0.5')).slice(1)).toEqual([
    'neigh flush to 10.1.0.5 dev cni0.5',
    'neigh flush to fd00::5 dev cni0.5',
  ]);
  expect(lines(planHostBatch(attachment, '/proc/9/fd/5')).slice(1)).toEqual([
    'neigh flush to 10.1.0.5 dev cni0',
    'neigh flush to fd00::5 dev cni0',
  ]);
});

test('planHostSysctls() refuses router advertisements on the port', () => {
  expect(planHostSysctls(attachmentOf({}, {}))).toEqual([
    { name: 'net/ipv6/conf/veth01020304/accept_ra', value: '0', required: false },
  ]);
});

describe('planContainerSysctls()', () => {
  const always = ['net/ipv6/conf/eth0/accept_dad=0', 'net/ipv4/conf/eth0/arp_notify=1'];
  test.each([
    ['layer 2', [], []],
    ['IPv4', [v4], always],
    [
      'dual stack',
      [v4, v6],
      [
        'net/ipv6/conf/lo/disable_ipv6=0',
        'net/ipv6/conf/eth0/disable_ipv6=0 (required)',
        'net/ipv6/conf/eth0/keep_addr_on_down=1 (required)',
        'net/ipv6/conf/eth0/ndisc_notify=1',
        ...always,
      ],
    ],
  ])('of %s', (_what, ips, expected) => {
    const sysctls = planContainerSysctls(attachmentOf({}, { ips }));
    expect(sysctls.map(({ name, value, required }) => `${name}=${value}${required ? ' (required)' : ''}`)).toEqual(
      expected,
    );
  });
});

test('planContainerSysctls() turns duplicate address detection on where it is asked for', () => {
  const sysctls = planContainerSysctls(attachmentOf({ enabledad: true }, { ips: [v6] }));
  const dad = sysctls.filter(({ name }) => name.endsWith('_dad'));
  expect(dad.map(({ name, value, required }) => `${name}=${value} ${required}`)).toEqual([
    'net/ipv6/conf/eth0/enhanced_dad=1 false',
    'net/ipv6/conf/eth0/accept_dad=1 false',
  ]);
});

test('planContainerBatch() leaves the link down where that is asked for', () => {
  expect(planContainerBatch(attachmentOf({ disableContainerInterface: true }, {}))).toEqual([]);
});

describe('planContainerBatch()', () => {
  const up = 'link set dev eth0 up';
  test.each([
    ['layer 2', {}, { ips: [] }, [up]],
    ['IPv4 without routes', {}, { ips: [v4] }, ['addr add 10.1.0.5/24 broadcast + dev eth0', up]],
    [
      'a /31 and a /32',
      {},
      { ips: [{ address: '10.1.0.5/31' }, { address: '10.9.0.5/32' }] },
      ['addr add 10.1.0.5/31 dev eth0', 'addr add 10.9.0.5/32 dev eth0', up],
    ],
    [
      'dual stack with default routes',
      { isDefaultGateway: true },
      { ips: [v4, v6] },
      [
        'addr add 10.1.0.5/24 broadcast + dev eth0',
        'addr add fd00::5/64 dev eth0',
        up,
        'route prepend 0.0.0.0/0 via 10.1.0.1 dev eth0 scope 0',
        'route prepend ::/0 via fd00::1 dev eth0',
      ],
    ],
    [
      'routes through the own gateway, another one, and none',
      {},
      {
        ips: [v4],
        routes: [{ dst: '10.9.0.0/16' }, { dst: '10.8.0.0/16', gw: '10.1.0.9' }, { dst: 'fd09::/48' }],
      },
      [
        'addr add 10.1.0.5/24 broadcast + dev eth0',
        up,
        'route prepend 10.9.0.0/16 via 10.1.0.1 dev eth0 scope 0',
        'route prepend 10.8.0.0/16 via 10.1.0.9 dev eth0 scope 0',
        'route prepend fd09::/48 dev eth0',
      ],
    ],
    [
      'routes with everything',
      {},
      {
        ips: [v4],
        routes: [
          { dst: '10.9.0.0/16', mtu: 1400, advmss: 1360, priority: 5, table: 100, scope: 253 },
          { dst: 'fd09::/48', gw: 'fd00::9', mtu: 1400, advmss: 1340, priority: 5, table: 100, scope: 253 },
          { dst: '10.7.0.0/16', mtu: 0, advmss: 0, priority: 0, table: 0, scope: 0 },
        ],
      },
      [
        'addr add 10.1.0.5/24 broadcast + dev eth0',
        up,
        'route prepend 10.9.0.0/16 via 10.1.0.1 dev eth0 metric 5 table 100 scope 253 mtu 1400 advmss 1360',
        'route prepend fd09::/48 via fd00::9 dev eth0 metric 5 table 100 mtu 1400 advmss 1340',
        'route prepend 10.7.0.0/16 via 10.1.0.1 dev eth0 table 0 scope 0',
      ],
    ],
  ])('of %s', (_what, keys, ipam, expected) => {
    expect(lines(planContainerBatch(attachmentOf(keys, ipam)))).toEqual(expected);
  });
});

describe('planResult()', () => {
  const made = { mac: '02:00:00:00:00:0b', gateway: undefined };
  const interfaces = [
    { name: 'cni0', mac: '02:00:00:00:00:0b' },
    { name: 'veth01020304', mac: '02:00:00:00:00:01' },
    { name: 'eth0', mac: '02:00:00:00:00:02', sandbox: netns },
  ];
  test('has the bridge, the host end and the container end, which holds every address', () => {
    const dns = { nameservers: ['10.1.0.1'] };
    const attachment = attachmentOf({ isDefaultGateway: true }, { ips: [v4, { address: 'fd00::5/64' }], dns });
    expect(planResult(attachment, made)).toEqual({
      interfaces,
      ips: [
        { address: '10.1.0.5/24', gateway: '10.1.0.1', interface: 2 },
        { address: 'fd00::5/64', gateway: 'fd00::1', interface: 2 },
      ],
      routes: [
        { dst: '0.0.0.0/0', gw: '10.1.0.1' },
        { dst: '::/0', gw: 'fd00::1' },
      ],
      dns,
    });
  });
  test('has the gateway of a VLAN as its fourth interface', () => {
    const gateway = { name: 'cni0.5', mac: '02:00:00:00:00:0c' };
    const { interfaces: found } = planResult(attachmentOf({ vlan: 5 }, { ips: [v4] }), { ...made, gateway });
    expect(found).toEqual([...interfaces, gateway]);
  });
  test('of a layer 2 bridge has interfaces only', () => {
    expect(planResult(attachmentOf({}, {}), made)).toEqual({ interfaces, ips: [], routes: [], dns: {} });
  });
});
