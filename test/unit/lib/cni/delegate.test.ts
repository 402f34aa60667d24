/** Delegation: where plugins are looked for, what they are told, and what every possible answer means. */

import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { delegate, findPlugin, UnknownOutcomeError } from '../../../../lib/cni/delegate.ts';
import { CniError, code } from '../../../../lib/cni/errors.ts';
import type { Call, Verb } from '../../../../lib/cni/plugin.ts';
import { trailerOf } from '../../../../lib/sea/trailer.ts';
import { fakeCall, fakeHost, fakePlugin } from './fake-call.ts';
import { hostLocalResult, hostLocalText } from './golden.ts';

const { buildId } = vi.hoisted(() => ({ buildId: '0123456789abcdef'.repeat(2) }));
vi.mock('../../../../lib/sea/build-info.ts', () => ({ buildId, version: '0.0.0' }));

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'delegate-'));
});

afterEach(() => rmSync(root, { recursive: true }));

/** A plugin called `ipam` that is a shell script. */
function script(body: string, path = join(root, 'ipam')): string {
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

function call(over: Partial<Call> = {}): Call {
  return fakeCall({ ipam: { type: 'ipam' } }, { path: [root], env: { CNI_COMMAND: 'ADD', EXTRA: 'x' }, ...over });
}

function ask(verb: Verb = 'ADD', over: Partial<Call> = {}) {
  return delegate(call(over), { type: 'ipam', verb, timeoutMs: 20_000 });
}

describe('findPlugin()', () => {
  test('takes the first regular file, executable or not', () => {
    const folders = ['a', 'b', 'c', 'd'].map((name) => join(root, name));
    for (const folder of folders) mkdirSync(folder);
    mkdirSync(join(root, 'a/ipam'));
    symlinkSync('/nowhere', join(root, 'b/ipam'));
    writeFileSync(join(root, 'c/ipam'), '');
    writeFileSync(join(root, 'd/ipam'), '');
    expect(findPlugin('ipam', [join(root, 'none'), ...folders])).toBe(join(root, 'c/ipam'));
  });
  test('follows a symbolic link', () => {
    writeFileSync(join(root, 'file'), '');
    symlinkSync('file', join(root, 'ipam'));
    expect(findPlugin('ipam', [root])).toBe(join(root, 'ipam'));
  });
  test.each([
    ['', code.invalidConfig, 'no plugin name provided'],
    ['a/b', code.invalidConfig, 'invalid plugin name: "a/b"'],
    ['../ipam', code.invalidConfig, 'invalid plugin name: "../ipam"'],
    ['..', code.invalidConfig, 'invalid plugin name: ".."'],
    ['a\0', code.invalidConfig, 'invalid plugin name: "a\\u0000"'],
    ['ipam', code.delegateFailed, 'failed to find plugin "ipam" in path [/nowhere /etc/passwd]'],
  ])('%j', (type, errorCode, message) => {
    expect(() => findPlugin(type, ['/nowhere', '/etc/passwd'])).toThrow(
      expect.objectContaining({ code: errorCode, message }),
    );
  });
});

test('a plugin gets our environment with its command, our stdin, and no arguments', async () => {
  script(`env | sort > ${root}/env; cat > ${root}/stdin; echo $# > ${root}/args; echo '{}'`);
  const given = call();
  await delegate(given, { type: 'ipam', verb: 'DEL' });
  const env = readFileSync(join(root, 'env'), 'utf8').split('\n');
  expect(env).toContain('CNI_COMMAND=DEL');
  expect(env).toContain('EXTRA=x');
  expect(env.filter((line) => line.startsWith('HOME='))).toEqual([]);
  expect(readFileSync(join(root, 'stdin'), 'utf8')).toBe(given.stdin);
  expect(readFileSync(join(root, 'args'), 'utf8')).toBe('0\n');
});

test('a plugin gets the configuration that was made for it', async () => {
  script(`cat > ${root}/stdin`);
  await delegate(call(), { type: 'ipam', verb: 'DEL', stdin: '{"name":"other"}' });
  expect(readFileSync(join(root, 'stdin'), 'utf8')).toBe('{"name":"other"}');
});

describe('a good answer', () => {
  test.each(['1.1.0', '0.4.0', '0.2.0'])('of ADD in version %s is read', async (version) => {
    const shape = version === '0.2.0' ? 'ip4ip6' : version === '0.4.0' ? 'versioned' : 'current';
    script(`cat <<'END'\n${hostLocalText[shape](version)}\nEND`);
    expect(await ask()).toEqual(hostLocalResult);
  });
  test('without cniVersion is of the version of the configuration', async () => {
    script(`echo '{"cniVersion":"","ip4":{"ip":"10.1.2.2/24"}}'`);
    const old = fakeCall({ cniVersion: '0.2.0' });
    const result = await ask('ADD', { config: old.config });
    expect(result?.ips).toEqual([{ address: '10.1.2.2/24' }]);
  });
  test.each(['CHECK', 'DEL', 'GC', 'STATUS'] as const)('of %s is success, whatever it prints', async (verb) => {
    script('echo anything');
    expect(await ask(verb)).toBeUndefined();
  });
  test('passes on what the plugin said on stderr', async () => {
    script('echo careful >&2; echo more >&2');
    const host = fakeHost();
    await ask('DEL', { host });
    expect(host.warnings).toEqual(['careful\nmore']);
  });
  test('is taken from a plugin that does not read its stdin', async () => {
    script("exec <&-; echo '{}'");
    await expect(ask('ADD', { stdin: `{"x":"${'x'.repeat(1_000_000)}"}` })).resolves.toMatchObject({ ips: [] });
  });
});

describe("the plugin's own error passes through as it is", () => {
  test.each([
    ['{"code":11,"msg":"busy","details":"try later"}', { code: 11, message: 'busy', details: 'try later' }],
    ['{"cniVersion":"1.0.0","code":100,"msg":"full"}', { code: 100, message: 'full', details: '' }],
    ['{"code":7,"msg":"","details":5}', { code: 7, message: '', details: '' }],
  ])('%s', async (text, expected) => {
    script(`echo noise >&2; echo '${text}'; exit 1`);
    const host = fakeHost();
    const error = await ask('ADD', { host }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CniError);
    expect(error).not.toBeInstanceOf(UnknownOutcomeError);
    expect(error).toMatchObject(expected);
    expect(host.warnings).toEqual([]);
  });
});

describe('the outcome is unknown when the plugin', () => {
  test.each([
    ['prints garbage', 'echo garbage', 'it printed no JSON result', '"garbage"'],
    ['prints nothing', 'true', 'it printed no JSON result', ''],
    ['prints two objects', "echo '{}{}'", 'it printed no JSON result', '"{}{}"'],
    ['prints null', 'echo null', 'could not parse result of ipam: it is no JSON object', ''],
    ['prints a list', "echo '[]'", 'could not parse result of ipam: it is no JSON object', ''],
    ['prints a bad address', `echo '{"ips":[{"address":"x"}]}'`, '"ips[0].address": is no CIDR', ''],
    ['prints an unknown version', `echo '{"cniVersion":"9"}'`, 'unsupported CNI result version "9"', ''],
    ['fails silently', 'exit 3', 'it ended with status 3 and no error object', ''],
    ['fails with stderr only', 'echo oops >&2; exit 1', 'it ended with status 1 and no error object', '"oops"'],
    ['fails with garbage', 'echo garbage; exit 1', 'it ended with status 1 and no error object', '"garbage"'],
    ['fails with half an error', `echo '{"code":7}'; exit 1`, 'status 1 and no error object', '{\\"code\\":7}'],
    ['crashes', 'kill -SEGV $$', 'ended by SIGSEGV', ''],
  ])('%s', async (_what, body, message, said) => {
    const path = script(body);
    const error = await ask().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UnknownOutcomeError);
    expect(error).toMatchObject({
      code: code.delegateFailed,
      message: expect.stringMatching(/^plugin "ipam" failed \(add\): /),
      details: expect.stringContaining(`executed ${path}`),
    });
    expect((error as CniError).message).toContain(message);
    expect((error as CniError).details).toContain(said);
  });

  test.each([
    ['cannot be executed', 0o644, 'EACCES'],
    ['has no interpreter', 0o755, 'ENOENT'],
  ])('%s', async (_what, mode, errno) => {
    writeFileSync(join(root, 'ipam'), '#!/no/such/interpreter\n', { mode });
    await expect(ask('DEL')).rejects.toThrow(errno);
    await expect(ask('DEL')).rejects.toBeInstanceOf(UnknownOutcomeError);
  });

  test('hangs: it is ended with its children', async () => {
    script(`sleep 60 & echo $! > ${root}/pid; sleep 60`);
    const hanging = delegate(call(), { type: 'ipam', verb: 'ADD', timeoutMs: 300 });
    await expect(hanging).rejects.toBeInstanceOf(UnknownOutcomeError);
    await expect(hanging).rejects.toThrow(
      'plugin "ipam" failed (add): it did not end within 0.3 s and was killed with its children',
    );
    await vi.waitFor(() => expect(isRunning(Number(readFileSync(join(root, 'pid'), 'utf8')))).toBe(false));
  });
});

function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    // No such process.
    return false;
  }
}

describe('in this process', () => {
  const builtin = () => fakePlugin({ name: 'ipam' }, hostLocalResult);

  test.each([
    ['this very build or a copy of it', `ELF…${trailerOf(buildId)}`, true],
    ['another build of ours', `ELF…${trailerOf('f'.repeat(32))}`, false],
    ['something behind the build id', `ELF…${trailerOf(buildId)}\n`, false],
    ['half a trailer', trailerOf(buildId).slice(1), false],
    ['an empty file', '', false],
  ])('%s: %#', async (_what, content, expected) => {
    writeFileSync(join(root, 'ipam'), content);
    chmodSync(join(root, 'ipam'), 0o755);
    const plugin = builtin();
    const given = call({ host: fakeHost({ builtins: [plugin] }) });
    await delegate(given, { type: 'ipam', verb: 'DEL' }).catch(() => undefined);
    expect(plugin.calls).toHaveLength(expected ? 1 : 0);
  });

  test.each(['ADD', 'CHECK', 'DEL', 'GC', 'STATUS'] as const)('%s reaches the plugin as its own verb', async (verb) => {
    writeFileSync(join(root, 'ipam'), trailerOf(buildId));
    const plugin = builtin();
    const given = call({ host: fakeHost({ builtins: [plugin] }) });
    const result = await delegate(given, { type: 'ipam', verb });
    expect(plugin.calls).toMatchObject([{ verb, stdin: given.stdin, containerId: 'c1', ifname: 'eth0' }]);
    expect(result).toEqual(verb === 'ADD' ? hostLocalResult : undefined);
  });

  test('the configuration that was made for it replaces ours', async () => {
    writeFileSync(join(root, 'ipam'), trailerOf(buildId));
    const plugin = builtin();
    const stdin = '{"name":"other","cniVersion":"0.2.0"}';
    await delegate(call({ host: fakeHost({ builtins: [plugin] }) }), { type: 'ipam', verb: 'ADD', stdin });
    expect(plugin.calls).toMatchObject([{ stdin, config: { name: 'other', cniVersion: '0.2.0' } }]);
  });

  test('an old version loses the same as it would between two processes', async () => {
    writeFileSync(join(root, 'ipam'), trailerOf(buildId));
    const two = { ...hostLocalResult, ips: [...hostLocalResult.ips, { address: '10.9.0.2/16' }] };
    const host = fakeHost({ builtins: [fakePlugin({ name: 'ipam' }, two)] });
    const { config } = fakeCall({ cniVersion: '0.2.0' });
    expect((await ask('ADD', { host, config }))?.ips).toEqual(hostLocalResult.ips);
  });

  test("the plugin's own error passes through as it is", async () => {
    writeFileSync(join(root, 'ipam'), trailerOf(buildId));
    const failure = new CniError(100, 'full');
    const refuse = async () => {
      throw failure;
    };
    const host = fakeHost({ builtins: [fakePlugin({ name: 'ipam', add: refuse })] });
    await expect(ask('ADD', { host })).rejects.toBe(failure);
  });
});
