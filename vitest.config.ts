/** Two suites: `unit` (no root, silent) and `e2e` (root, the built executables, one file after the other). */

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // node:ffi warns that it is experimental in every worker.
    execArgv: ['--no-warnings'],
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          setupFiles: ['test/support/fail-on-console.ts', 'test/support/own-run-folder.ts'],
          // Some write real files by the thousand, and the machine may be busy.
          testTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts', 'test/interop/**/*.test.ts'],
          // All files share one kernel: in parallel they would see each other's bridges and rules.
          fileParallelism: false,
          maxWorkers: 1,
          maxConcurrency: 3,
          testTimeout: 300_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
