/** The count that CI trusts: nothing that was not run may look like a success. */

import { expect, test } from 'vitest';
import { type FileResult, objectionsTo, summaryOf, totalsOf } from '../../support/totals.ts';

const folders = ['/test/e2e/'];

test('totalsOf() counts tests over all files, whatever else than passed or failed as skipped', () => {
  const totals = totalsOf([file('unit/a', 'passed', 'passed', 'skipped'), file('e2e/b', 'failed', 'passed', 'todo')]);
  expect(totals).toEqual({ passed: 3, failed: 1, skipped: 2 });
});

test('totalsOf() counts a file that could not be loaded as one failure', () => {
  expect(totalsOf([{ ...file('e2e/broken'), status: 'failed' }])).toEqual({ passed: 0, failed: 1, skipped: 0 });
});

test('objectionsTo() has none when every end-to-end test ran', () => {
  expect(objectionsTo({ testResults: [file('unit/a', 'skipped'), file('e2e/b', 'passed')] }, folders)).toEqual([]);
});

test.each([
  { what: 'no file', results: [file('unit/a', 'passed')], objection: 'no end-to-end test was run' },
  { what: 'an empty file', results: [file('e2e/a')], objection: 'no end-to-end test was run' },
  {
    what: 'a skipped test',
    results: [file('e2e/a', 'passed', 'skipped')],
    objection: '1 end-to-end tests were skipped',
  },
])('objectionsTo() objects to an end-to-end suite with $what', ({ results, objection }) => {
  expect(objectionsTo({ testResults: results }, folders)).toContain(objection);
});

test('objectionsTo() lets a single test be skipped for the kernel, but no file whole', () => {
  const skipped = { status: 'skipped', meta: { kernel: 'kernel cannot' } };
  const one = { ...file('e2e/a', 'passed'), assertionResults: [{ status: 'passed' }, skipped] };
  expect(objectionsTo({ testResults: [one] }, folders)).toEqual([]);
  const whole = { ...file('e2e/b'), assertionResults: [skipped, skipped] };
  expect(objectionsTo({ testResults: [one, whole] }, folders)).toEqual(['nothing of /repo/test/e2e/b.test.ts was run']);
});

test('summaryOf() names skipped tests only when there are any', () => {
  expect(summaryOf({ passed: 3, failed: 0, skipped: 0 })).toBe('3 passed, 0 failed');
  expect(summaryOf({ passed: 3, failed: 1, skipped: 2 })).toBe('3 passed, 1 failed, 2 skipped');
});

function file(name: string, ...statuses: readonly string[]): FileResult {
  const status = statuses.includes('failed') ? 'failed' : 'passed';
  return { name: `/repo/test/${name}.test.ts`, status, assertionResults: statuses.map((each) => ({ status: each })) };
}
