/** Unit tests leave no hints in /run, which is the host's. */
import { vi } from 'vitest';

vi.mock(import('../../lib/attachment/run-folder.ts'), async (original) => ({
  ...(await original()),
  RUN_FOLDER: `/tmp/nodecni-unit-run-${process.pid}`,
}));
