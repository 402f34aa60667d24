/** The same wrong input for the reference and for us: both refuse it, with the same code or ours being the more precise. */

import { expect, it } from 'vitest';
import { badEnvironment } from '../e2e/bad-input/environment.ts';
import { good } from '../e2e/bad-input/scene.ts';
import { badIpam, badState } from '../e2e/bad-input/state.ts';
import { badKeys, badMappings, badPrevResults, badRanges, badStdin } from '../e2e/bad-input/stdin.ts';
import { callPlugin, ours, reference } from '../support/plugins.ts';
import { createWorld } from '../support/world.ts';
import { differences } from './differences.ts';
import { moreWrongInputs, type Wrong } from './wrong-inputs.ts';

const inputs: readonly Wrong[] = [
  ...badStdin,
  ...badEnvironment,
  ...badKeys,
  ...badRanges,
  ...badMappings,
  ...badPrevResults,
  ...badState,
  // The reference would hang with it.
  ...badIpam.filter(({ what }) => !what.includes('hangs')),
  ...moreWrongInputs,
];

/** Every listed difference of an answer: `999 → 7`, or the input that only one of the two refuses. */
const listed = new Set(
  Object.values(differences).flatMap(({ codes = [], inputs: names = [] }) => [
    ...codes.map(([theirs, mine]) => pair(theirs, mine)),
    ...names,
  ]),
);
const seen = new Set<string>();

it.concurrent.each(inputs)('$what', async (wrong) => {
  const [theirs, mine] = await Promise.all([codeOf(wrong, reference), codeOf(wrong, ours)]);
  const isRefusedByBoth = theirs !== undefined && mine !== undefined;
  if (isRefusedByBoth && theirs === mine) return;
  const difference = isRefusedByBoth ? pair(theirs, mine) : wrong.what;
  expect(listed, `the reference's code is ${theirs}, ours ${mine}`).toContain(difference);
  seen.add(difference);
});

it('all differences that are listed were seen', () => {
  expect([...seen].sort()).toEqual([...listed].sort());
});

function pair(theirs: number, mine: number): string {
  return `${theirs} → ${mine}`;
}

/** Of the error; undefined for success. In a world of its own: the reference leaves much behind when it fails. */
async function codeOf({ spoil, prepare, plugin = 'bridge' }: Wrong, bin: string): Promise<number | undefined> {
  await using world = await createWorld();
  const scene = { world, pod: await world.pod(), bin };
  await prepare?.(scene);
  const wrap = world.apart.bind(world);
  const usual = { plugin, command: 'ADD', pod: scene.pod, config: good(scene), wrap };
  const { exitCode, json, said } = await callPlugin(world, { ...usual, bin, ...(await spoil?.(scene)) });
  if (exitCode === 0) return undefined;
  expect(json, said).toMatchObject({ code: expect.any(Number) });
  return Number(json?.code);
}
