/** The plugins on a host that has glibc, iproute2 and iptables, and nothing else: no Node, no C++ library. */

import { copyFileSync, existsSync, mkdirSync, readdirSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import { bothProtocols, type Conflist, stackNetwork, stdinFor } from '../support/networks.ts';
import { callPlugin, ours, type PluginCall, succeed } from '../support/plugins.ts';
import { type Command, must } from '../support/process.ts';
import { addresses, createWorld, type Namespace, type World } from '../support/world.ts';

const TOOLS = ['ip', ...['', '6'].flatMap((six) => ['', '-save', '-restore'].map((rest) => `ip${six}tables${rest}`))];

/** Libraries of the runtime that a host need not have. */
const FORBIDDEN = /libatomic|libstdc\+\+|libgcc_s/;

let world: World;
let pod: Namespace;
let root: string;
let conflist: Conflist;

beforeAll(async () => {
  world = await createWorld();
  pod = await world.pod();
  conflist = stackNetwork(world, [4, 6]);
  root = `${world.folder}/root`;
  await furnish();
});

afterAll(() => world?.[Symbol.asyncDispose]());

it('has no library of the runtime’s, and no Node', async () => {
  const files = await must(['find', root]);
  expect(files).not.toMatch(FORBIDDEN);
  expect(files).not.toMatch(/\/(node|npm|bash|sh)$/m);
  expect(files).toMatch(/libc\.so\.6/);
});

it('the executable alone does not start there, so the test would notice', async () => {
  const ended = await callPlugin(world, call('bridge', 'VERSION', { wrap: inside('--bind /dev/null') }));
  expect(ended.exitCode).not.toBe(0);
  expect(ended.stderr).toMatch(FORBIDDEN);
});

it('bridge and portmap attach and detach there', async () => {
  const before = await dump(world);
  await pod.agent.listen('pod', 80);
  const { json: prevResult } = await succeed(callPlugin(world, call('bridge', 'ADD')));
  const runtimeConfig = { portMappings: bothProtocols(8080, 80) };
  const config = stdinFor(conflist, 'portmap', { prevResult, runtimeConfig });
  await succeed(callPlugin(world, call('portmap', 'ADD', { config })));
  for (const plugin of ['portmap', 'bridge'] as const) {
    const checked = plugin === 'portmap' ? config : stdinFor(conflist, 'bridge', { prevResult });
    await succeed(callPlugin(world, call(plugin, 'CHECK', { config: checked })));
  }
  const answer = await world.outside.agent.ask({ protocol: 'tcp', host: addresses.node[4], port: 8080 });
  expect(answer).toEqual({ name: 'pod', seen: addresses.outside[4] });
  await succeed(callPlugin(world, call('portmap', 'DEL')));
  await succeed(callPlugin(world, call('bridge', 'DEL')));
  expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  // What is there to be read faster the next time is no trace of an attachment.
  const kept = ['lock', 'last_*', 'folder-seen', 'owners'].flatMap((name) => ['!', '-name', name]);
  const folders = [`${root}${world.dataDir}`, `${root}/var`] as const;
  expect(await must(['find', ...folders, '-type', 'f', ...kept])).toBe('');
});

function call(plugin: 'bridge' | 'portmap', command: string, over: Partial<PluginCall> = {}): PluginCall {
  const config = stdinFor(conflist, plugin);
  return { plugin, command, pod, config, env: { CNI_PATH: '/opt/cni/bin' }, wrap: inside(''), ...over };
}

/** Enters the root folder after the network namespace. `hide` is how the library folder is covered, if at all. */
function inside(hide: string): (command: Command) => Command {
  const cover = hide === '' ? ':' : `mount -t tmpfs none '${root}/opt/cni/bin/.nodecni-lib'`;
  const script = [
    `mount --rbind /proc '${root}/proc'`,
    `mount --rbind /dev '${root}/dev'`,
    `mount --rbind /run/netns '${root}/run/netns'`,
    `mount --bind '${ours}' '${root}/opt/cni/bin'`,
    cover,
    'exec "$@"',
  ].join(' && ');
  return ([nsenter, net = '', plugin = '']) => [
    '/usr/bin/unshare',
    ...['--mount', '--propagation', 'private', '/bin/bash', '-c', script, 'sh'],
    ...[nsenter, net, '/usr/sbin/chroot', root, plugin.replace(ours, '/opt/cni/bin')],
  ];
}

/** Fills the root folder. */
async function furnish(): Promise<void> {
  for (const folder of ['proc', 'dev', 'run/netns', 'opt/cni/bin', 'var/lib', 'tmp'])
    mkdirSync(`${root}/${folder}`, { recursive: true });
  for (const tool of TOOLS) install(`/usr/sbin/${tool}`);
  const modules = ['/usr/lib/x86_64-linux-gnu/xtables', '/usr/lib/aarch64-linux-gnu/xtables', '/usr/lib64/xtables'];
  for (const folder of modules.filter((path) => existsSync(path))) {
    for (const name of readdirSync(folder)) install(`${folder}/${name}`);
  }
  const needed = await Promise.all([...TOOLS.map((tool) => `/usr/sbin/${tool}`), `${ours}/bridge`].map(librariesOf));
  for (const path of needed.flat().filter((library) => !FORBIDDEN.test(library))) install(path);
}

/** With the links that lead to it. */
function install(path: string): void {
  if (existsSync(`${root}${path}`)) return;
  mkdirSync(dirname(`${root}${path}`), { recursive: true });
  copyFileSync(realpathSync(path), `${root}${path}`);
}

async function librariesOf(program: string): Promise<string[]> {
  const text = await must(['ldd', realpathSync(program)]);
  return [...text.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path ?? '').filter((path) => !path.startsWith(ours));
}
