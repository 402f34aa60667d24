/** The build id changes with every part, and fits the place kept for it in the bundle. */

import { expect, test } from 'vitest';
import { buildIdOf, buildIdPlaceholder, stampBuildId } from '../../../../lib/sea/build-id.ts';

test('buildIdOf() gives 32 hex digits, the same for the same parts', () => {
  expect(buildIdOf(['code', 'v26'])).toMatch(/^[0-9a-f]{32}$/);
  expect(buildIdOf(['code', 'v26'])).toBe(buildIdOf(['code', 'v26']));
});

test.each([
  { why: 'another part', parts: ['code', 'v27'] },
  { why: 'another order', parts: ['v26', 'code'] },
  { why: 'another split of the same characters', parts: ['codev', '26'] },
  { why: 'one part less', parts: ['code'] },
])('buildIdOf() differs for $why', ({ parts }) => {
  expect(buildIdOf(parts)).not.toBe(buildIdOf(['code', 'v26']));
});

test('stampBuildId() replaces every placeholder and keeps the length of the bundle', () => {
  const bundle = `a("${buildIdPlaceholder}");b("${buildIdPlaceholder}")`;
  const id = buildIdOf([bundle]);
  expect(stampBuildId(bundle, id)).toBe(`a("${id}");b("${id}")`);
  expect(buildIdPlaceholder).toHaveLength(id.length);
});
