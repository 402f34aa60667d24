/** `make demo-flannel` does what it says, in namespaces of its own. */

import { expect, it } from 'vitest';
import { repository } from '../../support/plugins.ts';
import { exec } from '../../support/process.ts';

it('follows a packet to its end', async () => {
  const demo = [process.execPath, '--no-warnings', 'test/demo/flannel.ts'] as const;
  const script = `cd '${repository}' && exec "$@"`;
  const command = ['/bin/bash', '-c', script, 'sh', 'test/support/private-namespace.sh', ...demo] as const;
  const { exitCode, stdout, stderr } = await exec(command, { timeoutMs: 100_000 });
  expect(exitCode, stdout + stderr).toBe(0);
  expect(stdout).toMatch(/Hop 1.*Hop 7.*demo is done/s);
});
