/** Configurations of loopback, alone and in a chain. */

import { subnets } from '../../support/networks.ts';
import type { World } from '../../support/world.ts';
import type { Configuration } from '../configuration.ts';
import { bridge } from './bridge.ts';

const loopback = { type: 'loopback' };
const onLo = [{ ifname: 'lo' }];

async function takeDown({ pods }: World): Promise<void> {
  for (const pod of pods) await pod.run('ip', 'link', 'set', 'lo', 'down');
}

const mislabelled: Configuration[] = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0'].map((version) => ({
  what: `loopback, version ${version}`,
  version,
  prepare: takeDown,
  plugins: [loopback],
  attachments: onLo,
  differs: ['loopback-results'],
}));

export const loopbackConfigurations: readonly Configuration[] = [
  ...mislabelled,
  ...['1.0.0', '1.1.0'].map((version) => ({
    what: `loopback, version ${version}`,
    version,
    prepare: takeDown,
    plugins: [loopback],
    attachments: onLo,
  })),
  { what: 'loopback behind bridge', prepare: takeDown, plugins: [bridge([subnets[4]], { isGateway: true }), loopback] },
];
