/** host-local beside the reference's: the same answers, the same files to the byte, the same lock. */

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../support/networks.ts';
import { callPlugin, leases, ours, type PluginEnded, reference, succeed } from '../support/plugins.ts';
import { start, until } from '../support/process.ts';
import { createWorld, type World } from '../support/world.ts';

interface Step {
  readonly command?: 'ADD' | 'DEL' | 'CHECK';
  readonly containerId?: string;
  readonly ifname?: string;
  readonly args?: string;
  /** Further keys of the whole configuration. */
  readonly config?: JsonObject;
}

interface Story {
  readonly what: string;
  readonly ipam: JsonObject;
  readonly cniVersion?: string;
  readonly steps: readonly Step[];
}

const single = { ranges: [[{ subnet: '10.7.0.0/29' }]] };
const add = (containerId: string): Step => ({ containerId });
const del = (containerId: string): Step => ({ containerId, command: 'DEL' });

const stories: Story[] = [
  {
    what: 'round robin, also past the end',
    ipam: single,
    steps: [add('a'), add('b'), del('a'), add('c'), add('d'), add('e'), add('f'), del('c'), add('g')],
  },
  {
    what: 'a subnet of the old kind',
    ipam: { subnet: '10.7.0.0/24', rangeStart: '10.7.0.20', rangeEnd: '10.7.0.21', gateway: '10.7.0.254' },
    steps: [add('a'), add('b'), add('c')],
  },
  {
    what: 'dual stack',
    ipam: { ranges: [[{ subnet: '10.7.0.0/24' }], [{ subnet: 'fd00:7::/64' }]] },
    steps: [add('a'), add('b'), del('a'), add('a')],
  },
  {
    what: 'several ranges in a set',
    ipam: { ranges: [[{ subnet: '10.7.0.0/30' }, { subnet: '10.8.0.0/30' }]] },
    steps: [add('a'), add('b'), add('c')],
  },
  {
    what: 'routes',
    ipam: {
      ...single,
      routes: [
        { dst: '0.0.0.0/0' },
        { dst: '10.9.0.0/16', gw: '10.7.0.5', mtu: 1400, advmss: 1360, priority: 5, table: 100, scope: 0 },
      ],
    },
    steps: [add('a')],
  },
  { what: 'resolv.conf', ipam: { ...single, resolvConf: '@/resolv.conf' }, steps: [add('a')] },
  { what: 'an address by CNI_ARGS', ipam: single, steps: [{ args: 'IP=10.7.0.5' }, { containerId: 'b' }] },
  { what: 'an address by args', ipam: single, steps: [{ config: { args: { cni: { ips: ['10.7.0.5'] } } } }] },
  {
    what: 'an address by runtimeConfig',
    ipam: single,
    steps: [{ config: { runtimeConfig: { ips: ['10.7.0.5/29'] } } }],
  },
  {
    what: 'ranges by runtimeConfig',
    ipam: {},
    steps: [{ config: { runtimeConfig: { ipRanges: [[{ subnet: '10.9.0.0/24' }]] } } }],
  },
  { what: 'the gateway asked for', ipam: single, steps: [{ args: 'IP=10.7.0.1' }, add('b')] },
  { what: 'the same container twice', ipam: single, steps: [add('a'), add('a')] },
  {
    what: 'two interfaces of a container',
    ipam: single,
    steps: [{}, { ifname: 'eth1' }, { command: 'DEL' }, { command: 'CHECK' }, { command: 'CHECK', ifname: 'eth1' }],
  },
  { what: 'cniVersion 0.2.0', ipam: single, cniVersion: '0.2.0', steps: [add('a')] },
  {
    what: 'cniVersion 0.4.0',
    ipam: single,
    cniVersion: '0.4.0',
    steps: [add('a'), { containerId: 'a', command: 'CHECK' }, del('a')],
  },
];

describe('does what the reference does, with the same files', () => {
  it.each(stories)('$what', async (story) => {
    const seen = [];
    for (const bin of [reference, ours]) {
      await using world = await createWorld();
      seen.push(await tell(world, story, bin));
    }
    expect(seen[1]).toEqual(seen[0]);
  });

  it('in turns on the same folder', async () => {
    await using world = await createWorld();
    const config = configOf(world, { what: '', ipam: single, steps: [] }, {});
    const call = { plugin: 'host-local', netns: '/run/netns/none', config };
    for (const [index, bin] of [ours, reference, ours, reference].entries()) {
      await succeed(callPlugin(world, { ...call, command: 'ADD', containerId: `c${index}`, bin }));
    }
    expect(Object.keys(leases(world)).sort()).toEqual(['10.7.0.2', '10.7.0.3', '10.7.0.4', '10.7.0.5']);
    for (const [index, bin] of [reference, ours, ours, reference].entries()) {
      await succeed(callPlugin(world, { ...call, command: 'CHECK', containerId: `c${index}`, bin }));
      await succeed(callPlugin(world, { ...call, command: 'DEL', containerId: `c${index}`, bin }));
    }
    expect(leases(world)).toEqual({});
  });
});

it('waits for the lock that the reference holds', async () => {
  await using world = await createWorld();
  const config = configOf(world, { what: '', ipam: single, steps: [] }, {});
  const call = { plugin: 'host-local', command: 'ADD', netns: '/run/netns/none', config };
  await succeed(callPlugin(world, { ...call, containerId: 'first' }));
  const lock = `${world.dataDir}/testnet/lock`;
  const held = `${world.folder}/held`;
  const holder = start(['/usr/bin/flock', lock, '/bin/sh', '-c', `touch ${held}; sleep 0.6; rm ${held}`]);
  await until('the lock', async () => (existsSync(held) ? true : undefined));
  await succeed(callPlugin(world, { ...call, containerId: 'second' }));
  expect(existsSync(held), 'ADD ended while another held the lock').toBe(false);
  await holder.ended;
});

interface Told {
  readonly answers: readonly unknown[];
  readonly files: Readonly<Record<string, string>>;
}

async function tell(world: World, story: Story, bin: string): Promise<Told> {
  writeFileSync(
    `${world.folder}/resolv.conf`,
    '# comment\nnameserver 10.0.0.53\ndomain example.com\nsearch a.example b.example\noptions ndots:2\n',
  );
  const answers: unknown[] = [];
  for (const { command = 'ADD', containerId, ifname, args, config } of story.steps) {
    const whose = { ...(containerId && { containerId }), ...(ifname && { ifname }), ...(args && { args }) };
    const call = {
      plugin: 'host-local',
      command,
      netns: '/run/netns/none',
      bin,
      config: configOf(world, story, config ?? {}),
    };
    answers.push(answerOf(await callPlugin(world, { ...call, ...whose })));
  }
  const folder = `${world.dataDir}/testnet`;
  const files = readdirSync(folder).map((name) => {
    const mode = (statSync(`${folder}/${name}`).mode & 0o777).toString(8);
    return [name, `${mode} ${readFileSync(`${folder}/${name}`, 'utf8')}`];
  });
  return { answers, files: Object.fromEntries(files) };
}

/** Text of a success; that of an error may differ. */
function answerOf({ exitCode, stdout }: PluginEnded): unknown {
  return exitCode === 0 ? { exitCode, stdout } : { exitCode };
}

function configOf(world: World, { ipam, cniVersion = '1.1.0' }: Story, over: JsonObject): JsonObject {
  const text = JSON.stringify({ type: 'host-local', dataDir: world.dataDir, ...ipam }).replace('@', world.folder);
  return { cniVersion, name: 'testnet', type: 'bridge', ipam: JSON.parse(text) as JsonObject, ...over };
}
