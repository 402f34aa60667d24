/** `make test`: every suite in one vitest run, then the one line that sums it up. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { objectionsTo, type Report, summaryOf, type Totals, totalsOf } from './totals.ts';

const reportPath = '.cache/test-report.json';

mkdirSync('.cache', { recursive: true });
rmSync(reportPath, { force: true });
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--reporter=default', '--reporter=json'];
const { status } = spawnSync(process.execPath, [...vitest, `--outputFile.json=${reportPath}`], { stdio: 'inherit' });
conclude(status);

function conclude(vitestStatus: number | null): void {
  const report = existsSync(reportPath)
    ? (JSON.parse(readFileSync(reportPath, 'utf8')) as Report)
    : { testResults: [] };
  const objections = objectionsTo(report, ['/test/e2e/', '/test/interop/']);
  const totals = withObjections(totalsOf(report.testResults), objections.length, vitestStatus);
  for (const objection of objections) process.stdout.write(`failed: ${objection}\n`);
  process.stdout.write(`${summaryOf(totals)}\n`);
  process.exitCode = totals.failed === 0 ? 0 : 1;
}

/** Each objection counts as a failure, and so does a vitest that failed for a reason that is no test's. */
function withObjections(totals: Totals, objections: number, vitestStatus: number | null): Totals {
  const failed = totals.failed + objections;
  return { ...totals, failed: failed === 0 && vitestStatus !== 0 ? 1 : failed };
}
