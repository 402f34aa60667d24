/** What the plugins write about themselves: there when a kill leaves nothing else, bounded, and never in the way. */

import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Conflist, type JsonObject, network, stdinFor } from '../support/networks.ts';
import { callPlugin, chain, ours, type PluginCall, startPlugin, succeed } from '../support/plugins.ts';
import { type Command, exec, must, start, until } from '../support/process.ts';
import { createWorld, type Namespace, type World } from '../support/world.ts';

const FOLDER = '/run/nodecni';
/** The bound that README.md promises, for calls that run at the same time. */
const boundFor = (calls: number) => 2 * (512 + 8 * calls) * 1024;

let world: World;
let pod: Namespace;
let conflist: Conflist;

beforeEach(async () => {
  world = await createWorld();
  pod = await world.pod();
  conflist = network(world);
  rmSync(FOLDER, { recursive: true, force: true });
});

afterEach(() => world?.[Symbol.asyncDispose]());

interface Shown {
  readonly plugin: string;
  readonly verb: string;
  readonly containerId: string;
  readonly state: string;
  readonly code?: number;
  readonly ms?: number;
  readonly steps: readonly { readonly what: string }[];
  readonly children?: readonly { readonly tool: string; readonly ms: number }[];
}

async function journal(...args: string[]): Promise<Shown[]> {
  const text = await must([`${ours}/cnictl`, 'journal', '--json', ...args]);
  return (JSON.parse(text) as { calls: Shown[] }).calls;
}

function add(config: JsonObject = {}): PluginCall {
  return { plugin: 'bridge', command: 'ADD', pod, config: { ...stdinFor(conflist, 'bridge'), ...config } };
}

/** An answer that the host's own namespace gets at once, without any work. */
const refused: PluginCall = { plugin: 'loopback', command: 'ADD', netns: '/proc/self/ns/net', config: { name: 'lo' } };

it('tells what a life of an attachment did, and nothing of calls that had nothing to do', async () => {
  const { json: prevResult } = await succeed(callPlugin(world, add()));
  await succeed(callPlugin(world, { ...add(), command: 'STATUS' }));
  await succeed(callPlugin(world, { ...add({ prevResult }), command: 'CHECK' }));
  for (const command of ['DEL', 'DEL', 'STATUS']) await succeed(callPlugin(world, { ...add(), command, netns: '' }));
  const calls = await journal('--container', 'container');
  expect(calls.map(({ verb, state }) => `${verb} ${state}`)).toEqual(['ADD done', 'CHECK done', 'DEL done']);
  const [first] = calls;
  expect(first?.steps.map(({ what }) => what)).toContain('host-local ADD');
  expect(first?.children?.map(({ tool }) => tool)).toEqual(expect.arrayContaining(['ip', 'iptables-restore']));
  expect(await journal('--container', 'other')).toEqual([]);
  const { stdout } = await exec([`${ours}/cnictl`, 'journal']);
  expect(stdout).toMatch(/bridge +ADD +testnet +container1 +eth0 +[\d.]+ +.*ip [\d.]+, .* done\n/);
});

it('a call that was killed shows where', async () => {
  const lock = `${world.dataDir}/testnet/lock`;
  await must(['mkdir', '-p', `${world.dataDir}/testnet`]);
  const holder = start(['/usr/bin/flock', lock, 'sleep', '60']);
  await until('the lock', async () => ((await isFree(lock)) ? undefined : true));
  const { child, ended } = startPlugin(world, add());
  const waiting = await until('a call that waits', async () => {
    const [call] = existsSync(`${FOLDER}/journal`) ? await journal() : [];
    return call?.steps.at(-1)?.what.startsWith('wait for the lock') === true ? call : undefined;
  });
  expect(waiting).toMatchObject({ state: 'running', verb: 'ADD', containerId: 'container1' });
  child.kill('SIGKILL');
  await ended;
  const [killed] = await journal();
  expect(killed).toMatchObject({ state: 'killed' });
  expect(killed?.steps.at(-1)?.what).toBe(`wait for the lock ${lock}`);
  const { stdout } = await exec([`${ours}/cnictl`, 'journal']);
  expect(stdout).toMatch(/killed in wait for the lock/);
  if (holder.child.pid !== undefined) process.kill(-holder.child.pid, 'SIGKILL');
  await holder.ended;
});

async function isFree(lock: string): Promise<boolean> {
  return (await exec(['/usr/bin/flock', '--nonblock', lock, 'true'])).exitCode === 0;
}

it('stays within its bound under 100 parallel writers, and no line is torn', async () => {
  await callPlugin(world, refused);
  // Full when the first of them comes.
  writeFileSync(`${FOLDER}/journal`, `${'x'.repeat(1023)}\n`.repeat(384), { flag: 'a' });
  const ended = await Promise.all(Array.from({ length: 100 }, () => callPlugin(world, refused)));
  expect(new Set(ended.map(({ json }) => json?.code))).toEqual(new Set([8]));
  const sizes = readdirSync(FOLDER).map((name) => statSync(`${FOLDER}/${name}`).size);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(boundFor(100));
  expect(readdirSync(FOLDER).sort()).toEqual(['journal', 'journal.1']);
  const calls = await journal();
  expect(calls).toHaveLength(101);
  expect(new Set(calls.map(({ state, code }) => `${state} ${code}`))).toEqual(new Set(['failed 8']));
});

describe('a call is not disturbed', () => {
  /** What stands in the way, as a shell sees it; `$0` is /run/nodecni. */
  const obstacles = [
    { what: 'by a read-only /run/nodecni', shell: 'mkdir -p $0; mount -t tmpfs -o ro none $0' },
    {
      what: 'by a full one',
      shell: 'mkdir -p $0; mount -t tmpfs -o size=4k none $0; head -c 4096 /dev/zero > $0/full',
    },
    { what: 'by a folder in the place of the journal', shell: 'mkdir -p $0/journal' },
    { what: 'by a FIFO', shell: 'mkdir -p $0; mkfifo $0/journal' },
    { what: 'by a link to nowhere', shell: 'mkdir -p $0; ln -s /nowhere/at/all $0/journal' },
    { what: 'by noise in it', shell: 'mkdir -p $0; head -c 500000 /dev/urandom > $0/journal' },
    { what: 'by a file in the place of the folder', shell: 'touch $0' },
  ];

  it.each(obstacles)('$what', async ({ shell }) => {
    const wrap = (command: Command): Command => {
      const script = `${shell} && exec "$@"`;
      return ['/usr/bin/unshare', '--mount', '/bin/sh', '-c', script, FOLDER, ...command];
    };
    const config = { cniVersion: '1.1.0', name: 'lo' };
    const call = { plugin: 'loopback', command: 'ADD', pod, config, wrap };
    const { json, stderr } = await succeed(callPlugin(world, call));
    expect(json).toMatchObject({ interfaces: [{ name: 'lo' }] });
    expect(stderr).toBe('');
    rmSync(FOLDER, { recursive: true, force: true });
  });
});

describe('logFile', () => {
  it('of a chain gets a line per plugin, also of the errors', async () => {
    const logFile = `${world.folder}/cni.log`;
    const logged = network(world, { bridge: { logFile }, portmap: { logFile, logLevel: 'info' } });
    await succeed(chain(world, 'add', { conflist: logged, pod }));
    expect((await chain(world, 'add', { conflist: logged, pod })).exitCode).not.toBe(0);
    await succeed(chain(world, 'del', { conflist: logged, pod }));
    const lines = readFileSync(logFile, 'utf8').trim().split('\n');
    expect(lines.map((line) => line.replace(/^\S+ (\w+) (\w+)\[\d+\] (\w+) .*?: (\w+) .*$/, '$1 $2 $3 $4'))).toEqual([
      'info bridge ADD done',
      'info portmap ADD done',
      'error bridge ADD failed',
      'info portmap DEL done',
      'info bridge DEL done',
    ]);
    expect(statSync(logFile).mode & 0o777).toBe(0o600);
  });

  it('that cannot be written is told of on stderr and fails nothing', async () => {
    const { stderr } = await succeed(callPlugin(world, add({ logFile: world.folder })));
    expect(stderr).toMatch(/^cannot write to the log file .*EISDIR.*\n$/);
    await succeed(callPlugin(world, { ...add({ logFile: world.folder }), command: 'DEL' }));
  });

  it('with a level that is none refuses ADD and STATUS, and no DEL', async () => {
    const call = add({ logLevel: 'loud' });
    for (const command of ['ADD', 'STATUS']) {
      expect((await callPlugin(world, { ...call, command })).json).toMatchObject({
        code: 7,
        msg: expect.stringContaining('loud'),
      });
    }
    await succeed(callPlugin(world, { ...call, command: 'DEL' }));
  });
});

it('trace tells where each millisecond of a call went', async () => {
  const trace = `${world.folder}/trace`;
  await succeed(callPlugin(world, add({ trace })));
  const { ms, spans } = JSON.parse(readFileSync(trace, 'utf8')) as {
    ms: number;
    spans: { what: string; atMs: number; ms: number }[];
  };
  // Children may run beside each other.
  let toldMs = 0;
  for (const { atMs, ms: takes } of spans) {
    expect(atMs).toBeLessThan(toldMs + 0.5);
    toldMs = Math.max(toldMs, atMs + takes);
  }
  expect(toldMs).toBeCloseTo(ms, 0);
  expect(spans[0]?.what).toBe('start');
  expect(spans.map(({ what }) => what)).toContain('iptables-restore --noflush --wait=20');
});
