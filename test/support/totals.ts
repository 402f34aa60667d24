/** One count over all suites, from vitest's JSON report. */

import type { SkipReason } from './kernel.ts';

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The part of vitest's JSON report that is read here. */
export interface Report {
  readonly testResults: readonly FileResult[];
}

export interface FileResult {
  /** Absolute path of the test file. */
  readonly name: string;
  readonly status: string;
  readonly assertionResults: readonly TestResult[];
}

export interface TestResult {
  readonly status: string;
  /** What the test left for its reader. */
  readonly meta?: SkipReason;
}

export function totalsOf(files: readonly FileResult[]): Totals {
  const statuses = files.flatMap((file) => file.assertionResults.map(({ status }) => status));
  const count = (wanted: string) => statuses.filter((status) => status === wanted).length;
  // A file that could not even be loaded, or whose hook failed, has no failed test to show for it.
  const brokenFiles = files.filter((file) => file.status === 'failed' && !hasFailedTest(file)).length;
  const passed = count('passed');
  const failed = count('failed');
  return { passed, failed: failed + brokenFiles, skipped: statuses.length - passed - failed };
}

/** What stands between a finished run and success, in words; empty when nothing does. */
export function objectionsTo(report: Report, e2eFolders: readonly string[]): readonly string[] {
  const files = report.testResults.filter(({ name }) => e2eFolders.some((folder) => name.includes(folder)));
  const e2e = totalsOf(files);
  const excused = files.flatMap(({ assertionResults }) => assertionResults).filter(isForKernel).length;
  const objections: string[] = [];
  if (e2e.passed + e2e.failed === 0) objections.push('no end-to-end test was run');
  if (e2e.skipped > excused) objections.push(`${e2e.skipped - excused} end-to-end tests were skipped`);
  const idle = files.filter((file) => file.assertionResults.length > 0 && totalsOf([file]).passed === 0);
  for (const { name, status } of idle) if (status !== 'failed') objections.push(`nothing of ${name} was run`);
  return objections;
}

/** Skipped since the kernel lacks what the test is about (./kernel.ts). */
function isForKernel({ status, meta }: TestResult): boolean {
  return status === 'skipped' && meta?.kernel !== undefined;
}

/** `12 passed, 0 failed`; skipped tests are named only if there are any. */
export function summaryOf({ passed, failed, skipped }: Totals): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}

function hasFailedTest(file: FileResult): boolean {
  return file.assertionResults.some(({ status }) => status === 'failed');
}
