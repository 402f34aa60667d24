/** Child processes: what they are given, and what every way of ending becomes. */

import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { code } from '../../../lib/cni/errors.ts';
import { findTool, forgetTools, run, runBeside, runPlugin, shareWithChildren, ToolError } from '../../../lib/exec.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'exec-'));
  vi.stubEnv('PATH', root);
  forgetTools();
});

afterEach(() => {
  vi.unstubAllEnvs();
  forgetTools();
  rmSync(root, { recursive: true });
});

function tool(name: string, body: string): void {
  writeFileSync(join(root, name), `#!/bin/sh\n${body}\n`);
  chmodSync(join(root, name), 0o755);
}

async function failureOf(action: () => Promise<unknown>): Promise<ToolError> {
  try {
    await action();
  } catch (error) {
    expect(error).toBeInstanceOf(ToolError);
    return error as ToolError;
  }
  throw new Error('it did not fail');
}

describe('findTool()', () => {
  test('prefers the usual folders to PATH', () => {
    tool('true', 'exit 1');
    expect(findTool('true')).toMatch(/^\/(usr\/)?s?bin\/true$/);
  });
  test('finds in PATH what is nowhere else', () => {
    tool('nodecni-tool', '');
    expect(findTool('nodecni-tool')).toBe(join(root, 'nodecni-tool'));
  });
  test('takes only executable files from absolute folders', () => {
    writeFileSync(join(root, 'nodecni-tool'), '');
    expect(findTool('nodecni-tool')).toBeUndefined();
    chmodSync(join(root, 'nodecni-tool'), 0o755);
    vi.stubEnv('PATH', 'relative::.');
    expect(findTool('nodecni-tool')).toBeUndefined();
  });
  test.each(['/etc/passwd', `/${'x'.repeat(5000)}`, '/proc/self/fd/0/x', ''])('copes with the PATH %j', (path) => {
    tool('nodecni-tool', '');
    vi.stubEnv('PATH', `${path}:${root}`);
    expect(findTool('nodecni-tool')).toBe(join(root, 'nodecni-tool'));
  });
  test('finds the usual tools without any PATH', () => {
    vi.stubEnv('PATH', undefined);
    expect(findTool('true')).toBeDefined();
  });
  test('remembers until it is told to forget', () => {
    tool('nodecni-tool', '');
    findTool('nodecni-tool');
    vi.stubEnv('PATH', '/nowhere');
    expect(findTool('nodecni-tool')).toBeDefined();
    forgetTools();
    expect(findTool('nodecni-tool')).toBeUndefined();
  });
});

describe.each([
  ['run()', async (...call: Parameters<typeof run>) => run(...call)],
  ['runBeside()', runBeside],
])('%s', (_name, run) => {
  test('hands on arguments as they are, without a shell', async () => {
    tool('nodecni-tool', 'for a; do echo "[$a]"; done');
    expect(await run('nodecni-tool', ['$HOME', 'a b', '; exit 1', '*', ''])).toBe(
      '[$HOME]\n[a b]\n[; exit 1]\n[*]\n[]\n',
    );
  });
  test('gives a bare environment', async () => {
    vi.stubEnv('NODE_OPTIONS', '');
    vi.stubEnv('LC_ALL', 'de_DE.UTF-8');
    vi.stubEnv('IPTABLES_LOCKFILE', '/x');
    tool('nodecni-tool', 'exec env');
    const env = (await run('nodecni-tool', [])).trim().split('\n').sort();
    expect(env.filter((line) => !/^(PWD|_|SHLVL)=/.test(line))).toEqual([
      'LC_ALL=C',
      'PATH=/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin',
    ]);
  });
  test('hands on its input, and an empty one by default', async () => {
    tool('nodecni-tool', 'exec cat');
    expect(await run('nodecni-tool', [], { input: 'a\nb' })).toBe('a\nb');
    expect(await run('nodecni-tool', [])).toBe('');
  });
  test('says what the tool said when it fails', async () => {
    tool('nodecni-tool', 'echo out; echo first >&2; echo second >&2; exit 3');
    expect(await failureOf(() => run('nodecni-tool', ['-x', 'y']))).toMatchObject({
      code: code.toolFailed,
      message: 'nodecni-tool failed: first',
      details: '"nodecni-tool -x y" ended with status 3: first\nsecond',
      tool: 'nodecni-tool',
      exitCode: 3,
      stdout: 'out\n',
      stderr: 'first\nsecond\n',
    });
  });
  test('passes over the name and version that iptables says first', async () => {
    tool(
      'nodecni-tool',
      'echo "iptables-restore v1.8.9 (nf_tables): " >&2; echo "line 5: RULE_APPEND failed" >&2; exit 4',
    );
    expect((await failureOf(() => run('nodecni-tool', []))).message).toBe(
      'nodecni-tool failed: line 5: RULE_APPEND failed',
    );
  });
  test('says which signal ended it', async () => {
    tool('nodecni-tool', 'kill -TERM $$');
    expect(await failureOf(() => run('nodecni-tool', []))).toMatchObject({
      message: 'nodecni-tool failed',
      details: '"nodecni-tool" was ended by SIGTERM',
      exitCode: undefined,
    });
  });
  test('ends a tool that takes too long, also one that ignores SIGTERM', async () => {
    tool('nodecni-tool', "trap '' TERM; while :; do sleep 0.1; done");
    expect(await failureOf(() => run('nodecni-tool', [], { timeoutMs: 200 }))).toMatchObject({
      details: '"nodecni-tool" did not end within 0.2 s and was killed',
      exitCode: undefined,
    });
  });
  test('says when a tool cannot be started', async () => {
    writeFileSync(join(root, 'nodecni-tool'), '#!/no/such/interpreter\n', { mode: 0o755 });
    expect((await failureOf(() => run('nodecni-tool', []))).details).toMatch(/could not be started: .*ENOENT/);
  });
  test('says what to install when a tool is missing', async () => {
    await expect(run('nodecni-tool', [])).rejects.toThrow(
      expect.objectContaining({
        code: code.toolFailed,
        message: 'cannot find nodecni-tool',
        details: expect.stringMatching(/^install the package \S+; searched \/usr\/sbin, .* and PATH$/),
      }),
    );
  });
});

test('runBeside() has started the tool when it returns, and both share what is shared', async () => {
  const [one, two] = ['one', 'two'].map((name) => {
    const path = join(root, name);
    writeFileSync(path, '');
    return { fd: openSync(path, 'r'), path };
  });
  if (one === undefined || two === undefined) throw new Error('there are two');
  const ends = [one, two].map(({ fd }) => shareWithChildren(fd));
  tool('nodecni-tool', `readlink /proc/self/fd/${one.fd} /proc/self/fd/${two.fd}; exit 0`);
  const beside = runBeside('nodecni-tool', []);
  const meanwhile = run('nodecni-tool', []);
  expect(meanwhile).toBe(`${one.path}\n${two.path}\n`);
  expect(await beside).toBe(meanwhile);
  for (const end of ends) end();
  expect(run('nodecni-tool', []).includes(root)).toBe(false);
  for (const { fd } of [one, two]) closeSync(fd);
});

describe('runPlugin()', () => {
  const options = { env: {}, stdin: '', timeoutMs: 20_000 };

  test('waits for an executable that is being written', async () => {
    tool('plugin', 'exit 0');
    const writer = openSync(join(root, 'plugin'), 'r+');
    setTimeout(() => closeSync(writer), 500);
    expect(await runPlugin(join(root, 'plugin'), options)).toMatchObject({ exitCode: 0, failure: '' });
  });

  test('gives exactly the environment and stdin that it is told', async () => {
    tool('plugin', 'exec env');
    const { stdout } = await runPlugin(join(root, 'plugin'), { ...options, env: { A: '1', B: undefined } });
    expect(stdout.split('\n').filter((line) => /^[AB]|PATH/.test(line))).toEqual(['A=1']);
  });
  test('tells both streams and the status', async () => {
    tool('plugin', 'cat; echo e >&2; exit 3');
    expect(await runPlugin(join(root, 'plugin'), { ...options, stdin: 'in' })).toEqual({
      stdout: 'in',
      stderr: 'e\n',
      exitCode: 3,
      timedOut: false,
      failure: '',
    });
  });
  test.each([
    ['in its group', 'sleep 20 &'],
    ['that left its group', 'setsid sleep 20 &'],
  ])('does not wait past the deadline for a descendant %s', async (_what, child) => {
    tool('plugin', `${child} echo $! > ${root}/pid; echo '{}'`);
    const start = process.hrtime.bigint();
    const outcome = await runPlugin(join(root, 'plugin'), {
      ...options,
      env: { PATH: '/usr/bin:/bin' },
      timeoutMs: 500,
    });
    expect(Number(process.hrtime.bigint() - start) / 1e6).toBeLessThan(5000);
    expect(outcome.timedOut).toBe(true);
    const pid = Number(readFileSync(join(root, 'pid'), 'utf8'));
    // The one that left the group is not ours to end, but for this test's own sake.
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Ended with the group.
    }
  });
});
