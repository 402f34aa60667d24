/** Configurations of which addresses and routes an attachment gets. */

import { writeFileSync } from 'node:fs';
import { subnets } from '../../support/networks.ts';
import type { World } from '../../support/world.ts';
import type { Configuration } from '../configuration.ts';
import { bridge } from './bridge.ts';

const four = [subnets[4]];
const six = [subnets[6]];
const gateway = { isGateway: true };

const ranges: Configuration[] = [
  {
    what: 'a subnet of the old kind',
    plugins: [
      bridge([], gateway, {
        ranges: undefined,
        subnet: '10.7.0.0/24',
        rangeStart: '10.7.0.20',
        rangeEnd: '10.7.0.21',
        gateway: '10.7.0.254',
      }),
    ],
  },
  {
    what: 'several ranges in a set',
    plugins: [
      bridge([], gateway, { ranges: [[{ subnet: '10.7.0.0/30', rangeStart: '10.7.0.2' }, { subnet: '10.8.0.0/24' }]] }),
    ],
  },
  { what: 'a large subnet', plugins: [bridge(['10.64.0.0/10'], gateway)] },
  { what: 'a small subnet', plugins: [bridge(['10.7.0.8/30'], gateway)] },
  {
    what: 'a small IPv6 subnet',
    plugins: [bridge(['fd00:7::8/126'], gateway)],
    differs: ['ndisc-notify', 'ipv6-gateway'],
  },
  {
    what: 'an IPv6 subnet in capital letters',
    plugins: [bridge(['FD00:0007:0:0::/64'], gateway)],
    differs: ['ndisc-notify', 'ipv6-gateway'],
  },
  { what: 'two addresses of a family', plugins: [bridge(['10.7.0.0/24', '10.8.0.0/24'])], differs: ['bridge-mac'] },
  {
    what: 'two IPv6 addresses',
    plugins: [bridge(['fd00:7::/64', 'fd00:8::/64'], gateway)],
    differs: ['ndisc-notify', 'ipv6-gateway'],
  },
  {
    what: 'ranges by runtimeConfig',
    plugins: [bridge([], gateway, { ranges: undefined })],
    attachments: [{ runtimeConfig: { ipRanges: [[{ subnet: '10.9.0.0/24' }]] } }],
  },
  {
    what: 'ranges by runtimeConfig before those of the configuration',
    plugins: [bridge(six, gateway)],
    attachments: [{ runtimeConfig: { ipRanges: [[{ subnet: '10.9.0.0/24' }]] } }],
    differs: ['ndisc-notify', 'ipv6-gateway'],
  },
];

const requested: Configuration[] = [
  {
    what: 'an address by CNI_ARGS',
    plugins: [bridge(four, gateway)],
    attachments: [{ args: 'IgnoreUnknown=1;IP=10.7.0.5' }],
  },
  { what: 'an address by args', plugins: [bridge(four, { ...gateway, args: { cni: { ips: ['10.7.0.5'] } } })] },
  {
    what: 'an address by runtimeConfig',
    plugins: [bridge(four, gateway)],
    attachments: [{ runtimeConfig: { ips: ['10.7.0.5/24'] } }],
  },
  {
    what: 'an address of each family by runtimeConfig',
    plugins: [bridge([...four, ...six], gateway)],
    attachments: [{ runtimeConfig: { ips: ['fd00:7::5', '10.7.0.5'] } }],
    differs: ['ndisc-notify', 'ipv6-gateway'],
  },
];

const routes: Configuration[] = [
  { what: 'a route', plugins: [bridge(four, gateway, { routes: [{ dst: '10.9.0.0/16' }] })] },
  {
    what: 'a route without a gateway anywhere',
    plugins: [bridge(four, {}, { routes: [{ dst: '10.9.0.0/16' }] })],
    differs: ['bridge-mac'],
  },
  {
    what: 'a route with its gateway',
    plugins: [bridge(four, gateway, { routes: [{ dst: '10.10.0.0/16', gw: '10.7.0.9' }] })],
  },
  {
    what: 'a route with priority',
    plugins: [bridge(four, gateway, { routes: [{ dst: '10.11.0.0/16', priority: 50 }] })],
  },
  { what: 'a route with scope', plugins: [bridge(four, gateway, { routes: [{ dst: '10.13.0.0/16', scope: 0 }] })] },
  {
    what: 'routes of two families',
    plugins: [
      bridge([...four, ...six], gateway, {
        routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0' }, { dst: 'fd00:9::/64', gw: 'fd00:7::9' }],
      }),
    ],
    differs: ['ndisc-notify', 'ipv6-gateway'],
  },
  {
    what: 'a route in another table',
    plugins: [bridge(four, gateway, { routes: [{ dst: '10.12.0.0/16', table: 100 }] })],
    differs: ['check-of-other-tables'],
  },
  {
    what: 'routes with mtu and advmss',
    plugins: [bridge(four, gateway, { routes: [{ dst: '10.9.0.0/16', mtu: 1300, advmss: 1200 }] })],
    differs: ['route-mtu'],
  },
  {
    what: 'isDefaultGateway beside a default route with a gateway',
    plugins: [bridge(four, { isDefaultGateway: true }, { routes: [{ dst: '0.0.0.0/0', gw: '10.7.0.9' }] })],
  },
  {
    what: 'a default route of the configuration',
    plugins: [bridge(four, { ...gateway, ipMasq: true }, { routes: [{ dst: '0.0.0.0/0' }] })],
  },
  {
    what: 'routes in version 0.2.0',
    version: '0.2.0',
    plugins: [bridge(four, gateway, { routes: [{ dst: '10.9.0.0/16' }, { dst: '10.10.0.0/16', gw: '10.7.0.9' }] })],
  },
  {
    what: 'routes in version 0.4.0',
    version: '0.4.0',
    plugins: [bridge(four, gateway, { routes: [{ dst: '10.9.0.0/16', priority: 5 }] })],
  },
];

const RESOLV_CONF =
  '# of a test\nnameserver 10.0.0.53\nnameserver fd00::53\ndomain example.com\nsearch a.example b.example\noptions ndots:2\n';

async function writeResolvConf({ folder }: World): Promise<void> {
  writeFileSync(`${folder}/resolv.conf`, RESOLV_CONF);
}

const others: Configuration[] = [
  { what: 'resolvConf', prepare: writeResolvConf, plugins: [bridge(four, gateway, { resolvConf: '@/resolv.conf' })] },
  {
    what: 'resolvConf and dns',
    prepare: writeResolvConf,
    plugins: [bridge(four, { ...gateway, dns: { domain: 'example.org' } }, { resolvConf: '@/resolv.conf' })],
  },
  {
    what: 'the reference’s static',
    plugins: [
      bridge([], gateway, {
        ranges: undefined,
        type: 'static',
        addresses: [{ address: '10.7.0.7/24', gateway: '10.7.0.1' }],
      }),
    ],
  },
  {
    what: 'two addresses of a family with ipMasq',
    plugins: [bridge(['10.7.0.0/24', '10.8.0.0/24'], { ipMasq: true })],
    differs: ['bridge-mac', 'second-subnet'],
  },
];

/** host-local alone, as another interface plugin calls it. */
const alone: Configuration[] = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'].map((version) => ({
  what: `host-local alone, version ${version}`,
  version,
  plugins: [
    {
      type: 'host-local',
      ipam: {
        type: 'host-local',
        dataDir: '@/networks',
        ranges: [[{ subnet: '10.7.0.0/24' }], [{ subnet: 'fd00:7::/64' }]],
        routes: [{ dst: '0.0.0.0/0' }, { dst: '::/0', gw: 'fd00:7::9' }],
      },
    },
  ],
}));

export const ipamConfigurations: readonly Configuration[] = [...ranges, ...requested, ...routes, ...others, ...alone];
