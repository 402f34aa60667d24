/** Plugins change hands again and again while pods come and go: nobody notices, and nothing is left. */

import { expect, it } from 'vitest';
import { collectGarbage } from '../support/attach.ts';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import { bothProtocols, type Conflist, stackNetwork } from '../support/networks.ts';
import { change, nodeFolder } from '../support/node-folder.ts';
import { chain, leases, ours, type PluginEnded, reference, succeed } from '../support/plugins.ts';
import { must } from '../support/process.ts';
import { createWorld, type Namespace, type World } from '../support/world.ts';

const WORKERS = 4;
const SWAPS = 50;

it(`${WORKERS} workers add and delete while the plugins are swapped ${SWAPS} times`, async () => {
  await using world = await createWorld();
  const bin = nodeFolder(world);
  const conflist = stackNetwork(world, [4, 6]);
  const pods: Namespace[] = [];
  while (pods.length < WORKERS) pods.push(await world.pod());
  const before = await dump(world);

  let isSwapping = true;
  const workers = pods.map((pod, index) => work(world, { conflist, pod, bin, port: 8000 + index }, () => isSwapping));
  for (let swap = 0; swap < SWAPS; swap += 1) await change(swap % 2 === 0 ? 'install' : 'rollback', bin);
  isSwapping = false;
  const ended = (await Promise.all(workers)).flat();

  expect(ended.filter(({ exitCode }) => exitCode !== 0).map(({ said }) => said)).toEqual([]);
  expect(ended.length).toBeGreaterThan(2 * WORKERS);
  expect(leases(world)).toEqual({});
  // Records of ours that the reference cannot know of.
  await collectGarbage(world, conflist, []);
  expect(await changesSince(world, before)).toEqual(NO_CHANGES);
}, 240_000);

it.each([
  { what: 'with the result of its ADD', cniVersion: '1.1.0' },
  { what: 'without', cniVersion: '0.3.1' },
])('what the reference adds again after a DEL of ours goes with our next DEL, $what', async ({ cniVersion }) => {
  await using world = await createWorld();
  const pod = await world.pod();
  const conflist = stackNetwork(world, [4, 6], { cniVersion });
  const ports = bothProtocols(8000, 80);
  const before = await dump(world);
  for (const [verb, bin] of [
    ['add', ours],
    ['del', ours],
    ['add', reference],
  ] as const)
    await succeed(chain(world, verb, { conflist, pod, ports, bin }));
  await must(['ip', 'netns', 'del', pod.name]);
  await succeed(chain(world, 'del', { conflist, pod, ports, bin: ours }));
  expect(await changesSince(world, before)).toEqual(NO_CHANGES);
});

interface Work {
  readonly conflist: Conflist;
  readonly pod: Namespace;
  readonly bin: string;
  readonly port: number;
}

/** ADD and DEL of one pod, as long as `goesOn`. */
async function work(world: World, { port, ...where }: Work, goesOn: () => boolean): Promise<PluginEnded[]> {
  const ended: PluginEnded[] = [];
  const options = { ...where, ports: bothProtocols(port, 80) };
  while (goesOn()) {
    for (const verb of ['add', 'del'] as const) ended.push(await chain(world, verb, options));
  }
  return ended;
}
