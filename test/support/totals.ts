/** One count over all suites, from vitest's JSON report. */

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
  readonly assertionResults: readonly { readonly status: string }[];
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
  const e2e = totalsOf(report.testResults.filter(({ name }) => e2eFolders.some((folder) => name.includes(folder))));
  const objections: string[] = [];
  if (e2e.passed + e2e.failed === 0) objections.push('no end-to-end test was run');
  if (e2e.skipped > 0) objections.push(`${e2e.skipped} end-to-end tests were skipped`);
  return objections;
}

/** `12 passed, 0 failed`; skipped tests are named only if there are any. */
export function summaryOf({ passed, failed, skipped }: Totals): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
}

function hasFailedTest(file: FileResult): boolean {
  return file.assertionResults.some(({ status }) => status === 'failed');
}
