/** `make demo` does what it says, and the host that it runs on is as before. */

import { expect, it } from 'vitest';
import { dumpNamespace } from '../support/dump.ts';
import { ours, repository } from '../support/plugins.ts';
import { exec, must } from '../support/process.ts';
import { addresses, createWorld } from '../support/world.ts';

it('runs to its end in seconds and changes nothing around it', async () => {
  await using world = await createWorld();
  // What stands for the host: a network of its own and something in each place that the demo uses.
  const { node: host } = world;
  await host.run('iptables', '-t', 'nat', '-A', 'POSTROUTING', '-s', '10.0.0.0/8', '-j', 'MASQUERADE');
  const before = [await dumpNamespace(host), await state()];
  const demo = ['test/support/private-namespace.sh', process.execPath, 'test/demo/demo.ts', ours] as const;
  const script = `cd '${repository}' && exec "$@"`;
  const ended = await exec(host.enter(['/bin/bash', '-c', script, 'sh', ...demo]), { timeoutMs: 60_000 });
  const said = ended.stdout + ended.stderr;
  expect(ended.exitCode, said).toBe(0);
  expect(ended.durationMs).toBeLessThan(30_000);
  expect(said).toMatch(/demo is done/);
  expect([await dumpNamespace(host), await state()]).toEqual(before);
  const answers = await host.run('ip', '-4', '-oneline', 'address', 'show', 'up0');
  expect(answers).toContain(addresses.node[4]);
});

/** Files and mounts that the demo could have left. */
async function state(): Promise<string> {
  const files = await must([
    'find',
    '/run',
    '/var/lib/cni',
    '/etc/cni',
    '-path',
    '/run/nodecni-test',
    '-prune',
    '-o',
    '-print',
  ]);
  return files + (await must(['cat', '/proc/self/mounts']));
}
