/** `make install` and what takes it back, on a folder that is in use. The logic: test/unit/lib/sea/installation.test.ts. */

import { readdirSync, statSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { change, nodeFolder, PLUGINS, startChange } from '../support/node-folder.ts';
import { repository } from '../support/plugins.ts';
import { exec, must } from '../support/process.ts';
import { createWorld, type World } from '../support/world.ts';

const KILLS = 15;

let world: World;
let folder: string;

beforeEach(async () => {
  world = await createWorld();
  folder = nodeFolder(world);
});

afterEach(() => world?.[Symbol.asyncDispose]());

/** What each plugin says of itself; fails where one does not work. */
async function abouts(): Promise<string[]> {
  const said = await Promise.all(PLUGINS.map((name) => exec([`${folder}/${name}`], { env: {} })));
  return said.map(({ stderr, exitCode }) => (exitCode === 0 ? (stderr.split('\n')[0] ?? '') : `broken: ${stderr}`));
}

const ours = expect.stringMatching(/^CNI \S+ plugin nodecni \d/);
/** What `go install` makes of the reference does not know its version. */
const theirs = expect.stringMatching(/^CNI \S+ plugin version unknown/);
const each = (about: unknown) => PLUGINS.map(() => about);

it('changes the plugins of a node, and back', async () => {
  expect(await abouts()).toEqual(each(theirs));
  expect(await change('install', folder)).toContain('make rollback');
  expect(await abouts()).toEqual(each(ours));
  expect(await must([`${folder}/cnictl`, '--version'])).toMatch(/^cnictl /);
  await change('rollback', folder);
  expect(await abouts()).toEqual(each(theirs));
  await change('uninstall', folder);
  expect(readdirSync(folder).sort()).toEqual([...PLUGINS].sort());
});

it.each(['install', 'rollback'] as const)(
  '%s that is killed leaves every plugin working, and the next try finishes',
  async (verb) => {
    if (verb === 'rollback') await change('install', folder);
    const { ended: whole } = startChange(verb, folder);
    const { durationMs } = await whole;
    for (let kill = 0; kill < KILLS; kill += 1) {
      await change(verb === 'install' ? 'rollback' : 'install', folder);
      const { child, ended } = startChange(verb, folder);
      await new Promise((resolve) => setTimeout(resolve, (durationMs * kill) / KILLS));
      child.kill('SIGKILL');
      await ended;
      for (const about of await abouts()) expect(about).toMatch(/^CNI \S+ plugin (nodecni|version unknown)/);
    }
    await change(verb, folder);
    expect(await abouts()).toEqual(each(verb === 'install' ? ours : theirs));
    expect(readdirSync(folder).filter((name) => /staging|lock/.test(name))).toEqual([]);
  },
);

it('two at the same time wait for each other', async () => {
  await Promise.all([change('install', folder), change('install', folder)]);
  expect(await abouts()).toEqual(each(ours));
  expect(new Set(PLUGINS.map((name) => statSync(`${folder}/${name}`).ino)).size).toBe(1);
  await change('rollback', folder);
  expect(await abouts()).toEqual(each(theirs));
});

it.each(['install', 'rollback', 'uninstall'])('make %s goes where DESTDIR and CNI_BIN_DIR say', async (target) => {
  const said = await must([
    'make',
    '-C',
    repository,
    '--dry-run',
    target,
    'DESTDIR=/image',
    'CNI_BIN_DIR=/usr/lib/cni',
  ]);
  expect(said).toContain(`lib/sea/install.ts ${target} '/image/usr/lib/cni'`);
});
