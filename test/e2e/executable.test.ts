/** The executable as a file: which name does what, and what of its surroundings it does not listen to. */

import { spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { changesSince, type Dump, dump, NO_CHANGES } from '../support/dump.ts';
import { network, stdinFor } from '../support/networks.ts';
import { callPlugin, ours, type PluginCall, repository, succeed } from '../support/plugins.ts';
import { until } from '../support/process.ts';
import { snapshot, withoutRandom } from '../support/snapshot.ts';
import { createWorld, type Namespace, type World } from '../support/world.ts';

const NAMES = ['bridge', 'host-local', 'portmap', 'loopback', 'flannel'] as const;
const LIBRARIES = '.nodecni-lib';
const { version } = JSON.parse(readFileSync(`${repository}/package.json`, 'utf8')) as { version: string };
const SPEC_VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];

let world: World;
let pod: Namespace;
let before: Dump;
/** A folder with a copy of the executable under all names and under one that is no plugin's. */
let copies: string;

beforeAll(async () => {
  world = await createWorld();
  pod = await world.pod();
  before = await dump(world);
  copies = emptyFolder();
  cpSync(`${ours}/bridge`, `${copies}/nonsense`);
  if (existsSync(`${ours}/${LIBRARIES}`)) cpSync(`${ours}/${LIBRARIES}`, `${copies}/${LIBRARIES}`, { recursive: true });
  for (const name of NAMES) linkSync(`${copies}/nonsense`, `${copies}/${name}`);
});

afterAll(() => world?.[Symbol.asyncDispose]());

it('is one file under all its names, but for flannel, into which kube-flannel writes its own', () => {
  expect(
    readdirSync(ours)
      .filter((name) => name !== LIBRARIES)
      .sort(),
  ).toEqual([...NAMES, 'cnictl'].sort());
  const inodeOf = (name: string) => statSync(`${ours}/${name}`).ino;
  const shared = NAMES.filter((name) => name !== 'flannel');
  expect(new Set(shared.map(inodeOf)).size).toBe(1);
  expect(inodeOf('flannel')).not.toBe(inodeOf('bridge'));
});

describe.each(NAMES)('%s', (plugin) => {
  it('says what it is when it is called without CNI_COMMAND', async () => {
    const { stdout, stderr, exitCode } = await callPlugin(world, { plugin, command: '' });
    const about = `CNI ${plugin} plugin nodecni ${version}\nCNI protocol versions supported: ${SPEC_VERSIONS.join(', ')}\n`;
    expect({ stdout, stderr, exitCode }).toEqual({ stdout: '', stderr: about, exitCode: 0 });
  });

  it('answers VERSION', async () => {
    const config = '{"cniVersion":"1.0.0"}';
    const { stdout, stderr, exitCode } = await callPlugin(world, { plugin, command: 'VERSION', config });
    const answer = `${JSON.stringify({ cniVersion: '1.1.0', supportedVersions: SPEC_VERSIONS })}\n`;
    expect({ stdout, stderr, exitCode }).toEqual({ stdout: answer, stderr: '', exitCode: 0 });
  });

  it('works as a copy', async () => {
    const ended = await callPlugin(world, { plugin, command: '', bin: copies });
    expect(ended.stderr, ended.said).toContain(`CNI ${plugin} plugin nodecni`);
  });

  it('works as a symlink to any of the names', async () => {
    const bin = emptyFolder();
    symlinkSync(`${ours}/${plugin === 'bridge' ? 'portmap' : 'bridge'}`, `${bin}/${plugin}`);
    const ended = await callPlugin(world, { plugin, command: '', bin });
    expect(ended.stderr, ended.said).toContain(`CNI ${plugin} plugin nodecni`);
  });
});

it('refuses a name that is no plugin’s', async () => {
  const { exitCode, json, said } = await callPlugin(world, { plugin: 'nonsense', command: 'ADD', bin: copies });
  expect(exitCode, said).toBe(1);
  expect(json, said).toMatchObject({ code: 106, msg: expect.stringContaining('nonsense') });
});

it('takes its file’s name where the caller gives it another', async () => {
  const wrap: PluginCall['wrap'] = (command) => ['/bin/bash', '-c', 'exec -a whatever "$@"', 'sh', ...command];
  await succeed(callPlugin(world, { plugin: 'bridge', command: 'VERSION', wrap }));
});

it('goes by the name it is called by, also where the file is called cnictl', async () => {
  const bin = emptyFolder();
  symlinkSync(`${ours}/cnictl`, `${bin}/bridge`);
  const ended = await callPlugin(world, { plugin: 'bridge', command: '', bin });
  expect(ended.stderr, ended.said).toContain('CNI bridge plugin nodecni');
});

it('works in a folder that was deleted', async () => {
  const folder = emptyFolder();
  const wrap: PluginCall['wrap'] = (command) => [
    '/bin/sh',
    '-c',
    `mkdir -p ${folder}/gone && cd ${folder}/gone && rmdir ${folder}/gone && exec "$@"`,
    'sh',
    ...command,
  ];
  for (const command of ['ADD', 'STATUS', 'DEL']) await succeed(callPlugin(world, { ...add(), command, wrap }));
});

it('runs a host-local that is a copy of its own build in its own process', async () => {
  const bin = emptyFolder();
  symlinkSync(`${ours}/bridge`, `${bin}/bridge`);
  symlinkSync(`${copies}/host-local`, `${bin}/host-local`);
  // It could not be executed.
  chmodSync(`${copies}/host-local`, 0o644);
  for (const command of ['ADD', 'DEL']) await succeed(callPlugin(world, { ...add(), command, bin }));
});

it('does not listen to SIGUSR1, at which Node opens a debugger’s port', async () => {
  const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'x', CNI_NETNS: pod.path, CNI_IFNAME: 'lo', CNI_PATH: ours };
  const { pid, stdin } = spawn(`${ours}/loopback`, { env, stdio: ['pipe', 'ignore', 'ignore'] });
  // read(2) of x64 or arm64, with 0 as its first argument.
  await until('our code to read stdin', async () =>
    /^(0|63) 0x0 /.test(readFileSync(`/proc/${pid}/syscall`, 'utf8')) ? true : undefined,
  );
  const caught = /^SigCgt:\s*(\w+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  stdin.end();
  const has = (signal: number) => ((BigInt(`0x${caught}`) >> BigInt(signal - 1)) & 1n) === 1n;
  expect([has(constants.signals.SIGTERM), has(constants.signals.SIGUSR1)]).toEqual([true, false]);
});

/** Variables of the runtime and of the libraries in it, each with a value that would be seen. `@` is a folder. */
const variables: Readonly<Record<string, string | undefined>>[] = [
  { NODE_OPTIONS: '--require=/x.js' },
  { NODE_OPTIONS: '--nonsense' },
  { NODE_OPTIONS: '--inspect-brk --trace-warnings' },
  { NODE_EXTRA_CA_CERTS: '/x.pem' },
  { NODE_DEBUG: 'fs,child_process,net,module' },
  { NODE_DEBUG_NATIVE: 'ALL' },
  { NODE_V8_COVERAGE: '@' },
  { NODE_COMPILE_CACHE: '@' },
  { NODE_REDIRECT_WARNINGS: '@/warnings' },
  { NODE_PENDING_DEPRECATION: '1' },
  { NODE_TLS_REJECT_UNAUTHORIZED: '0' },
  { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: 'nonsense' },
  { NODE_USE_SYSTEM_CA: '1' },
  { NODE_ICU_DATA: '/x' },
  { NODE_PATH: '/x' },
  { NODE_UNIQUE_ID: '1' },
  ...['x', '0', '5', '10', '99'].map((fd) => ({ NODE_CHANNEL_FD: fd })),
  { NODE_TEST_CONTEXT: 'child-v8' },
  { NODE_ENV: 'development' },
  { NODE_REPL_EXTERNAL_MODULE: '/x.js' },
  { NODE_SEA_DEBUG: '1' },
  { OPENSSL_CONF: '/x.cnf', SSL_CERT_FILE: '/x.pem', SSL_CERT_DIR: '/x' },
  { UV_THREADPOOL_SIZE: 'many', UV_USE_IO_URING: '1' },
  { FORCE_COLOR: '3', NO_COLOR: undefined },
  { LC_ALL: 'tr_TR.UTF-8', LANG: 'xx', LANGUAGE: 'de' },
  { TZ: '/x', HOME: undefined, TMPDIR: '/x' },
  { PATH: undefined },
  { PATH: '' },
  { PATH: '/x:relative' },
  { PATH: '@/fake:/usr/sbin:/usr/bin:/sbin:/bin' },
  { IPTABLES_COLOR: 'always', COLORFGBG: ';0', XTABLES_LIBDIR: '/x' },
];

describe('is not changed by', () => {
  let usual: string;

  beforeAll(async () => {
    usual = await attachAndDetach({});
  });

  it.each(variables.map((env) => ({ env })))('$env', async ({ env }) => {
    const folder = emptyFolder();
    mkdirSync(`${folder}/fake`);
    for (const tool of ['ip', 'iptables-restore', 'iptables-save', 'nft', 'conntrack']) {
      writeFileSync(`${folder}/fake/${tool}`, `#!/bin/sh\ntouch ${folder}/fake-was-run\nexit 1\n`, { mode: 0o755 });
    }
    const entries = Object.entries(env).map(([name, value]) => [name, value?.replace('@', folder)] as const);
    expect(await attachAndDetach(Object.fromEntries(entries))).toEqual(usual);
    expect(readdirSync(folder)).toEqual(['fake']);
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});

/** All that one can see of a life of an attachment. */
async function attachAndDetach(env: Readonly<Record<string, string | undefined>>): Promise<string> {
  const seen: unknown[] = [];
  for (const command of ['', 'VERSION', 'ADD', 'ADD', 'STATUS', 'DEL']) {
    const { stdout, stderr, exitCode } = await callPlugin(world, { ...add(), command, env });
    seen.push({ command, stdout, stderr, exitCode });
    if (command === 'ADD') seen.push(await snapshot(world));
  }
  return JSON.stringify(withoutRandom(seen), undefined, 1).replace(/10\.7\.0\.\d+/g, 'address');
}

function add(): PluginCall {
  return { plugin: 'bridge', command: 'ADD', pod, config: stdinFor(network(world), 'bridge') };
}

let folders = 0;

function emptyFolder(): string {
  folders += 1;
  const folder = `${world.folder}/folder-${folders}`;
  mkdirSync(folder);
  return folder;
}
