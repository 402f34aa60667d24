/** Whatever is wrong with a call: one JSON error that names it, in bounded time, and nothing is changed or left. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { changesSince, type Dump, dump, NO_CHANGES } from '../support/dump.ts';
import { callPlugin, type PluginCall, type PluginEnded } from '../support/plugins.ts';
import { createWorld, type World } from '../support/world.ts';
import { badEnvironment } from './bad-input/environment.ts';
import { type BadCall, good, type Scene } from './bad-input/scene.ts';
import { badIpam, badState, badTools } from './bad-input/state.ts';
import { badKeys, badMappings, badPrevResults, badRanges, badStdin } from './bad-input/stdin.ts';

/** A hanging IPAM plugin gets one second, the tools' own deadlines are not met here. */
const MAX_MS = 10_000;

const topics = [
  { topic: 'stdin', cases: badStdin },
  { topic: 'environment', cases: badEnvironment },
  { topic: 'keys', cases: badKeys },
  { topic: 'ranges', cases: badRanges },
  { topic: 'port mappings', cases: badMappings },
  { topic: 'prevResult', cases: badPrevResults },
  { topic: 'state of the node', cases: badState },
  { topic: 'IPAM plugin', cases: badIpam },
  { topic: 'tools', cases: badTools },
];

describe.each(topics)('$topic: refuses', ({ cases }) => {
  let world: World;
  let shared: Scene & { readonly before: Dump };

  beforeAll(async () => {
    world = await createWorld();
    shared = { world, pod: await world.pod(), before: await dump(world) };
  });

  afterAll(() => world?.[Symbol.asyncDispose]());

  it.each(cases)('$what', async (bad) => {
    if (bad.prepare === undefined) return await expectRefused(bad, shared, shared.before);
    await using own = await createWorld();
    const scene = { world: own, pod: await own.pod() };
    await bad.prepare(scene);
    await expectRefused(bad, scene, await dump(own));
  });
});

async function expectRefused(
  { spoil, plugin = 'bridge', code, names }: BadCall,
  scene: Scene,
  before: Dump,
): Promise<void> {
  const usual: PluginCall = { plugin, command: 'ADD', pod: scene.pod, config: good(scene), timeoutMs: MAX_MS };
  const ended = await callPlugin(scene.world, { ...usual, ...(await spoil?.(scene)) });
  expectOneError(ended);
  expect(ended.json, ended.said).toMatchObject({ code });
  expect(`${ended.json?.msg} ${ended.json?.details}`).toMatch(names);
  expect(await changesSince(scene.world, before)).toEqual(NO_CHANGES);
}

function expectOneError({ exitCode, json, stdout, stderr, said }: PluginEnded): void {
  expect(exitCode, said).toBe(1);
  expect(json, said).toMatchObject({
    cniVersion: expect.any(String),
    code: expect.any(Number),
    msg: expect.any(String),
  });
  expect(json?.msg).not.toBe('');
  // No stack of the runtime's, no flood.
  expect(stdout + stderr).not.toMatch(/^ {4}at |node:internal/m);
  expect(stdout.length + stderr.length).toBeLessThan(4_000);
}
