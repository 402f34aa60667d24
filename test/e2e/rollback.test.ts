/** An ADD that fails at any step leaves nothing of its own, and nothing of anybody else's is touched. */

import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { changesSince, type Dump, dump, NO_CHANGES, processesWith } from '../support/dump.ts';
import { bothProtocols, type Conflist, type StdinOptions, stackNetwork, stdinFor } from '../support/networks.ts';
import {
  callPlugin,
  chain,
  mixedBin,
  ours,
  type PluginCall,
  type PluginEnded,
  startPlugin,
  succeed,
  type Verb,
} from '../support/plugins.ts';
import { until } from '../support/process.ts';
import { breakTools, type Fault } from '../support/tools.ts';
import { addresses, createWorld, type Namespace, type World } from '../support/world.ts';

const ports = bothProtocols(8080, 80);
const faults: readonly Fault[] = ['fail', 'half', 'after', 'terminate'];

/** More than an ADD has children: the loops below end when an ADD made fewer. */
const MAX_STEPS = 40;

interface Stage {
  readonly world: World;
  readonly pod: Namespace;
  readonly conflist: Conflist;
  readonly before: Dump;
}

/** A world where another container is attached already, or where there is no bridge yet. */
async function stage({ first }: { first: boolean }): Promise<Stage & AsyncDisposable> {
  const world = await createWorld();
  const conflist = stackNetwork(world, [4, 6]);
  if (!first) await succeed(chain(world, 'add', { conflist, pod: await world.pod(), ports: bothProtocols(9090, 90) }));
  const pod = await world.pod();
  return { world, pod, conflist, before: await dump(world), [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() };
}

const starts = [
  { start: 'with no bridge yet', first: true },
  { start: 'beside another container', first: false },
];

describe.each(starts)('an ADD $start', ({ first }) => {
  it.each(faults)('by bridge leaves nothing when its every child in turn meets "%s"', async (fault) => {
    await using staged = await stage({ first });
    await failEachStep(staged, fault, {
      add: (wrap) => bridge(staged, 'ADD', { wrap }),
      undo: () => bridge(staged, 'DEL'),
    });
  });

  it.each(faults)('by portmap leaves nothing when its every child in turn meets "%s"', async (fault) => {
    await using staged = await stage({ first });
    const { json: prevResult } = await succeed(bridge(staged, 'ADD'));
    const before = await dump(staged.world);
    await failEachStep({ ...staged, before }, fault, {
      add: (wrap) => portmap(staged, 'ADD', { wrap, prevResult }),
      undo: () => portmap(staged, 'DEL'),
    });
  });

  it('leaves nothing when SIGTERM comes at any time', async () => {
    await using staged = await stage({ first });
    for (let delayMs = 4; delayMs <= 120; delayMs += 4) {
      const { child, ended } = startPlugin(staged.world, callOf(staged, 'bridge', 'ADD'));
      setTimeout(() => child.kill('SIGTERM'), delayMs);
      const { exitCode, stdout, signal, stderr } = await ended;
      const context = `after ${delayMs} ms: ${exitCode ?? signal} ${stdout} ${stderr}`;
      if (exitCode === 0) await succeed(bridge(staged, 'DEL'));
      // Before the first line of our code runs, the runtime's own start may still be what the signal ends.
      else if (signal === null) expect(JSON.parse(stdout), context).toMatchObject({ code: 105 });
      expect(await changesSince(staged.world, staged.before), context).toEqual(NO_CHANGES);
    }
  });
});

interface Pair {
  readonly add: (wrap: Wrap) => Promise<PluginEnded>;
  /** For an ADD that got over a fault (a warning, a second try): its DEL then has to find all of it. */
  readonly undo: () => Promise<PluginEnded>;
}

async function failEachStep({ world, before }: Stage, fault: Fault, { add, undo }: Pair): Promise<void> {
  for (let call = 1; call < MAX_STEPS; call += 1) {
    const { wrap, fired, calls } = breakTools(world, { fault, call });
    const ended = await add(wrap);
    const context = `child ${call} (${calls()[call - 1] ?? 'none'}): ${ended.said}`;
    if (ended.exitCode === 0) await succeed(undo());
    else expectError(ended, context);
    expect(await changesSince(world, before), context).toEqual(NO_CHANGES);
    if (fired()) continue;
    expect(ended.exitCode, context).toBe(0);
    expect(call, 'children of an ADD').toBeGreaterThan(1);
    return;
  }
  throw new Error(`an ADD has ${MAX_STEPS} children`);
}

/** IPAM plugins, as shell scripts. Each notes how it was called. */
const ipams = [
  { what: 'is missing', script: undefined, delIsRun: false },
  { what: 'refuses', script: `echo '{"code": 11, "msg": "come back later"}'; exit 1`, delIsRun: false, code: 11 },
  { what: 'crashes', script: 'kill -SEGV $$', delIsRun: true },
  { what: 'says why it failed on stderr only', script: 'echo no luck >&2; exit 3', delIsRun: true },
  { what: 'prints garbage', script: 'echo "{"', delIsRun: true },
  { what: 'prints nothing', script: '', delIsRun: true },
  { what: 'prints an address that is none', script: `echo '{"ips":[{"address":"10.7.0.300/24"}]}'`, delIsRun: true },
  { what: 'gives no address', script: `echo '{"cniVersion":"1.1.0","ips":[]}'`, delIsRun: true },
  { what: 'hangs', script: 'sleep 600', delIsRun: true },
] as const;

describe('an ADD leaves nothing when the IPAM plugin', () => {
  it.each(ipams)('$what', async ({ script, delIsRun, ...expected }) => {
    await using staged = await stage({ first: true });
    const { world } = staged;
    const bin = mixedBin(world, 'ipam', { bridge: ours });
    const log = `${world.folder}/ipam-calls`;
    if (script !== undefined) writeIpam(`${bin}/fake-ipam`, `[ "$CNI_COMMAND" = ADD ] || exit 0; ${script}`, log);
    const conflist = stackNetwork(world, [4], { bridge: { ipam: { type: 'fake-ipam' }, ipamTimeoutSeconds: 1 } });
    const ended = await bridge({ ...staged, conflist }, 'ADD', { bin });
    expectError(ended, ended.said);
    if ('code' in expected) expect(ended.json).toMatchObject({ code: expected.code, msg: 'come back later' });
    expect(ended.durationMs).toBeLessThan(5_000);
    const calls = script === undefined ? '' : readFileSync(log, 'utf8');
    expect(calls.trim().split('\n').filter(Boolean)).toEqual(
      script === undefined ? [] : delIsRun ? ['ADD', 'DEL'] : ['ADD'],
    );
    expect(processesWith(`${bin}/fake-ipam`), 'processes left').toBe(0);
    expect(await changesSince(world, staged.before)).toEqual(NO_CHANGES);
  });

  it('is still at work when SIGTERM comes', async () => {
    await using staged = await stage({ first: true });
    const { world } = staged;
    const bin = mixedBin(world, 'ipam', { bridge: ours });
    const log = `${world.folder}/ipam-calls`;
    const answer = `echo '{"cniVersion":"1.1.0","ips":[{"address":"10.7.0.9/24"}]}'`;
    writeIpam(`${bin}/fake-ipam`, `[ "$CNI_COMMAND" = ADD ] || exit 0; sleep 0.5; ${answer}`, log);
    const conflist = stackNetwork(world, [4], { bridge: { ipam: { type: 'fake-ipam' } } });
    const { child, ended } = startPlugin(world, { ...callOf({ ...staged, conflist }, 'bridge', 'ADD'), bin });
    await until('the IPAM plugin', async () => (existsSync(log) ? true : undefined));
    child.kill('SIGTERM');
    const { stdout, exitCode } = await ended;
    expect([exitCode, JSON.parse(stdout)]).toEqual([1, expect.objectContaining({ code: 105 })]);
    expect(readFileSync(log, 'utf8')).toBe('ADD\nDEL\n');
    expect(await changesSince(world, staged.before)).toEqual(NO_CHANGES);
  });
});

describe('a refused second ADD', () => {
  it.each([
    { who: 'the same container', containerId: 'container1' },
    { who: 'another container in the same namespace', containerId: 'container2' },
  ])('by $who touches nothing of the first', async ({ containerId }) => {
    await using staged = await stage({ first: true });
    const { world, pod } = staged;
    const { json: prevResult } = await succeed(bridge(staged, 'ADD'));
    await succeed(portmap(staged, 'ADD', { prevResult }));
    const attached = await dump(world);
    const ended = await bridge(staged, 'ADD', { containerId });
    expectError(ended, ended.said);
    expect(ended.json?.msg).toMatch(/eth0|container1/);
    expect(await changesSince(world, attached)).toEqual(NO_CHANGES);
    await pod.agent.listen('pod', 80);
    for (const protocol of ['tcp', 'udp'] as const) {
      const answer = await world.outside.agent.ask({ protocol, host: addresses.node[4], port: 8080 });
      expect(answer).toMatchObject({ name: 'pod' });
    }
  });
});

type Wrap = ReturnType<typeof breakTools>['wrap'];

function bridge(staged: Stage, command: Verb, over: Partial<PluginCall> = {}): Promise<PluginEnded> {
  return callPlugin(staged.world, { ...callOf(staged, 'bridge', command), ...over });
}

function portmap(staged: Stage, command: Verb, { prevResult, ...over }: Partial<PluginCall> & StdinOptions = {}) {
  const config = stdinFor(staged.conflist, 'portmap', { prevResult, runtimeConfig: { portMappings: ports } });
  return callPlugin(staged.world, { ...callOf(staged, 'portmap', command), config, ...over });
}

function callOf({ pod, conflist }: Stage, plugin: string, command: Verb): PluginCall {
  return { plugin, command, pod, config: stdinFor(conflist, plugin) };
}

function expectError(ended: PluginEnded, context: string): void {
  expect(ended.exitCode, context).toBe(1);
  expect(ended.json, context).toMatchObject({ code: expect.any(Number), msg: expect.stringMatching(/./) });
}

function writeIpam(path: string, script: string, log: string): void {
  writeFileSync(path, `#!/bin/bash\ncat >/dev/null\necho "$CNI_COMMAND" >>'${log}'\n${script}\n`);
  chmodSync(path, 0o755);
}
