/** README's table of differences is the one that the comparisons go by. */

import { expect, test } from 'vitest';
import { readReadme, withTable } from '../../support/readme-differences.ts';

test('README has the table of test/interop/differences.ts (`make readme` writes it)', () => {
  const readme = readReadme();
  expect(readme).toBe(withTable(readme));
});

test('withTable() needs its place', () => {
  expect(() => withTable('# nodecni\n')).toThrow('<!-- differences -->');
});
