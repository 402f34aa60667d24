/** The part of execa that is in the executable does for us what the whole does. */

import { createRequire } from 'node:module';
import { build } from 'esbuild';
import { execaSync } from 'execa';
import { beforeAll, expect, test } from 'vitest';
import { synchronousExeca } from '../../../../lib/sea/execa.ts';

let half: typeof execaSync;
let code: string;

beforeAll(async () => {
  const result = await build({
    stdin: { contents: "export { execaSync } from 'execa';", resolveDir: import.meta.dirname },
    bundle: true,
    write: false,
    platform: 'node',
    format: 'cjs',
    plugins: [synchronousExeca],
  });
  code = result.outputFiles[0]?.text ?? '';
  const module = { exports: {} as { execaSync: typeof execaSync } };
  new Function('require', 'module', code)(createRequire(import.meta.url), module);
  half = module.exports.execaSync;
});

const ways: readonly { script: string; input?: string; timeout?: number; maxBuffer?: number }[] = [
  { script: 'cat', input: 'in\n' },
  { script: 'echo out; echo err >&2; exit 3' },
  { script: 'kill -TERM $$' },
  { script: 'sleep 20', timeout: 100 },
  { script: 'yes', maxBuffer: 1000 },
];

test.each(ways)('$script ends as with the whole of execa', ({ script, ...more }) => {
  const options = {
    reject: false,
    extendEnv: false,
    env: { PATH: '/usr/bin:/bin' },
    killSignal: 'SIGKILL',
    ...more,
  } as const;
  const [own, whole] = [half, execaSync].map((run) => {
    const { stdout, stderr, exitCode, signal, failed, timedOut, originalMessage } = run(
      '/bin/sh',
      ['-c', script],
      options,
    );
    return { stdout, stderr, exitCode, signal, failed, timedOut, originalMessage };
  });
  expect(own).toEqual(whole);
});

test('a file that cannot be started fails as with the whole of execa', () => {
  const failure = half('/absent', [], { reject: false }).originalMessage;
  expect(failure).toContain('ENOENT');
  expect(failure).toBe(execaSync('/absent', [], { reject: false }).originalMessage);
});

test('it opens none of this process’s own streams', () => {
  expect(code).not.toMatch(/process\d*\.std/);
});
