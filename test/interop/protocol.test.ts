/** Every verb in every version, held against the reference: what one accepts or refuses, so does the other. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type JsonObject, network, stdinFor } from '../support/networks.ts';
import { callPlugin, ours, type PluginCall, type PluginEnded, reference } from '../support/plugins.ts';
import { withoutRandom } from '../support/snapshot.ts';
import { createWorld, type Namespace, type World } from '../support/world.ts';
import { differences } from './differences.ts';

const PLUGINS = ['bridge', 'host-local', 'portmap', 'loopback'] as const;
const VERBS = ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS', 'VERSION'] as const;
/** Those there are, none at all, and some that there are not. */
const VERSIONS = [
  '0.1.0',
  '0.2.0',
  '0.3.0',
  '0.3.1',
  '0.4.0',
  '1.0.0',
  '1.1.0',
  '',
  '0.5.0',
  '1.2.0',
  '2.0.0',
  '1',
  'x.y.z',
];

const sides = [
  { side: 'ours', bin: ours },
  { side: 'theirs', bin: reference },
] as const;

const intended = Object.values(differences).flatMap(({ answers = [] }) => answers);

/** One world for each side: what a call leaves is part of the next one's answer. */
let worlds: Record<(typeof sides)[number]['side'], { world: World; pod: Namespace }>;

beforeAll(async () => {
  const [one, two] = [await createWorld(), await createWorld()];
  worlds = { ours: { world: one, pod: await one.pod() }, theirs: { world: two, pod: await two.pod() } };
});

afterAll(async () => {
  for (const { world } of Object.values(worlds ?? {})) await world[Symbol.asyncDispose]();
});

const cells = PLUGINS.flatMap((plugin) => VERSIONS.map((version) => ({ plugin, version })));

describe.each(cells)('$plugin with cniVersion "$version" answers as the reference does to', ({ plugin, version }) => {
  // In this order: CHECK finds what ADD made, DEL takes it away.
  it.each(VERBS)('%s', async (verb) => {
    const [mine, theirs] = await Promise.all(sides.map((one) => ask(one, { plugin, verb, version })));
    if (mine === undefined || theirs === undefined) throw new Error('there are two sides');
    const difference = intended.find(
      (one) => one.plugin === plugin && one.verb === verb && one.versions.includes(version),
    );
    if (difference === undefined) expect(mine).toEqual(theirs);
    else expect({ ours: mine.code, theirs: theirs.code }).toEqual({ ours: difference.ours, theirs: difference.theirs });
  });
});

it.each(PLUGINS)('%s without CNI_COMMAND says the same about itself', async (plugin) => {
  const told = sides.map(async ({ side, bin }) => {
    const { world, pod } = worlds[side];
    const { exitCode, stdout, stderr } = await callPlugin(world, { plugin, command: '', pod, bin });
    // Whose build it is.
    return { exitCode, stdout, stderr: stderr.replace(/^(CNI \S+ plugin) .*$/m, '$1') };
  });
  const [mine, theirs] = await Promise.all(told);
  expect(mine).toEqual(theirs);
  expect(mine?.stderr).toContain('CNI protocol versions supported: 0.1.0');
});

interface Seen {
  readonly exitCode: number | null;
  /** Of the error; undefined for success. */
  readonly code: unknown;
  /** Stdout, where it is no error. */
  readonly answer: string | undefined;
}

interface Asked {
  readonly plugin: (typeof PLUGINS)[number];
  readonly verb: string;
  readonly version: string;
}

const results = new Map<string, JsonObject>();

async function ask({ side, bin }: (typeof sides)[number], { plugin, verb, version }: Asked): Promise<Seen> {
  const { world, pod } = worlds[side];
  const key = `${side} ${plugin} ${version}`;
  const prevResult = plugin === 'portmap' ? chained(version) : verb === 'CHECK' ? results.get(key) : undefined;
  const config = { ...configOf(world, plugin), cniVersion: version === '' ? undefined : version, prevResult };
  const call: PluginCall = { plugin, command: verb, pod, bin, config, ifname: plugin === 'loopback' ? 'lo' : 'eth0' };
  const ended = await callPlugin(world, call);
  if (verb === 'ADD' && ended.exitCode === 0 && ended.json !== undefined) results.set(key, ended.json);
  return summary(ended);
}

function summary({ exitCode, json, stdout }: PluginEnded): Seen {
  if (exitCode === 0) return { exitCode, code: undefined, answer: withoutRandom(stdout) };
  return { exitCode, code: json?.code, answer: undefined };
}

function configOf(world: World, plugin: string): JsonObject {
  const conflist = network(world, { portmap: {} });
  if (plugin === 'loopback') return { name: 'lo', type: 'loopback' };
  return stdinFor(conflist, plugin === 'portmap' ? 'portmap' : 'bridge');
}

/** A result in the shape of `version`, for a chained plugin. */
function chained(version: string): JsonObject {
  if (['', '0.1.0', '0.2.0'].includes(version)) return { cniVersion: version || undefined, ip4: { ip: '10.7.0.2/24' } };
  const ip = { address: '10.7.0.2/24', ...(version.startsWith('0.') ? { version: '4' } : {}) };
  return { cniVersion: version, ips: [ip] };
}
