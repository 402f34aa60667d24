/** README has what the comparisons go by and what the bench measured, and the plots are those of the same numbers. */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { plotsOf, readResults } from '../../bench/results.ts';
import { repository } from '../../support/plugins.ts';
import { filled, readReadme } from '../../support/readme.ts';

test('README agrees with test/interop/differences.ts and test/bench/results (`make readme` writes it)', () => {
  const readme = readReadme();
  expect(readme).toBe(filled(readme));
});

test('the plots agree with test/bench/results/bench.json (`make readme` writes them)', () => {
  const plots = Object.entries(plotsOf(readResults()));
  expect(plots.map(([path]) => path)).toEqual(['test/bench/results/pods.svg', 'test/bench/results/leases.svg']);
  for (const [path, svg] of plots) expect(readFileSync(`${repository}/${path}`, 'utf8')).toBe(svg);
});

test('filled() needs a place for each part', () => {
  expect(() => filled('# nodecni\n')).toThrow('<!-- differences -->');
});
