/** The whole protocol in memory: every verb in every version, the order of checks, codes and words. */

import { describe, expect, test } from 'vitest';
import { dispatch, failure, type Invocation } from '../../../../lib/cni/dispatch.ts';
import { CniError } from '../../../../lib/cni/errors.ts';
import type { Call, Plugin } from '../../../../lib/cni/plugin.ts';
import { atLeast, type ResultShape, resultShape, SPEC_VERSIONS } from '../../../../lib/cni/version.ts';
import { emptyResult, fakeHost, fakePlugin } from './fake-call.ts';
import { hostLocalResult, hostLocalText } from './golden.ts';

const ENV = {
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/pod',
  CNI_IFNAME: 'eth0',
  CNI_PATH: '/opt/cni/bin',
};

interface Given {
  readonly command?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly stdin?: string | (() => string);
  readonly plugin?: Plugin;
  readonly isOwnNetns?: Invocation['isOwnNetns'];
}

function run({ command = 'ADD', env = {}, stdin = '{}', plugin = fakePlugin(), isOwnNetns = () => false }: Given) {
  const readStdin = typeof stdin === 'string' ? () => stdin : stdin;
  return dispatch({ plugin, env: { CNI_COMMAND: command, ...ENV, ...env }, readStdin, host: fakeHost(), isOwnNetns });
}

function config(version: string | undefined): string {
  return JSON.stringify({ cniVersion: version, name: 'mynet', type: 'fake' });
}

async function error(given: Given) {
  const { stdout, stderr, exitCode } = await run(given);
  expect({ stderr, exitCode }).toEqual({ stderr: '', exitCode: 1 });
  return JSON.parse(stdout);
}

describe.each(SPEC_VERSIONS)('version %s', (version) => {
  const since = { CHECK: '0.4.0', DEL: '0.1.0', GC: '1.1.0', STATUS: '1.1.0' };

  test('ADD prints the result in the shape of the version', async () => {
    const plugin = fakePlugin({}, hostLocalResult);
    expect(await run({ stdin: config(version), plugin })).toEqual({
      stdout: hostLocalText[resultShape(version) as ResultShape](version),
      stderr: '',
      exitCode: 0,
    });
    expect(plugin.calls[0]).toMatchObject({
      verb: 'ADD',
      containerId: 'c1',
      netns: '/run/netns/pod',
      ifname: 'eth0',
      path: ['/opt/cni/bin'],
      config: { name: 'mynet', cniVersion: version },
      stdin: config(version),
    });
  });

  test.each(Object.entries(since))('%s (since %s)', async (command, first) => {
    const plugin = fakePlugin();
    const given = { command, stdin: config(version), plugin };
    if (atLeast(version, first)) {
      expect(await run(given)).toEqual({ stdout: '', stderr: '', exitCode: 0 });
      expect(plugin.calls.map(({ verb }) => verb)).toEqual([command]);
    } else {
      expect(await error(given)).toMatchObject({
        cniVersion: version,
        code: 1,
        msg: `config version does not allow ${command}`,
      });
      expect(plugin.calls).toEqual([]);
    }
  });

  test('an error of the plugin says the version', async () => {
    const refuse = async () => {
      throw new CniError(11, 'busy', { details: 'a < b' });
    };
    const { stdout, exitCode } = await run({ stdin: config(version), plugin: fakePlugin({ add: refuse }) });
    expect(exitCode).toBe(1);
    expect(stdout).toBe(
      `{\n    "cniVersion": "${version}",\n    "code": 11,\n    "msg": "busy",\n    "details": "a \\u003c b"\n}`,
    );
  });
});

test('a configuration without version is of 0.1.0', async () => {
  const { stdout } = await run({ stdin: config(undefined), plugin: fakePlugin({}, hostLocalResult) });
  expect(stdout).toBe(hostLocalText.ip4ip6('0.1.0'));
  expect(await error({ command: 'CHECK', stdin: config('') })).toMatchObject({ code: 1 });
});

test('VERSION answers on one line, without stdin and without any other variable', async () => {
  const stdin = () => {
    throw new Error('stdin was read');
  };
  const env = Object.fromEntries(Object.keys(ENV).map((name) => [name, undefined]));
  expect(await run({ command: 'VERSION', stdin, env })).toEqual({
    stdout: '{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}\n',
    stderr: '',
    exitCode: 0,
  });
});

test.each(['', undefined])('without a command (%j) the about text goes to stderr', async (command) => {
  const outcome = await run({ env: { CNI_COMMAND: command }, plugin: fakePlugin({ name: 'bridge' }) });
  expect(outcome).toEqual({
    stdout: '',
    stderr: expect.stringMatching(
      /^CNI bridge plugin nodecni \S+\nCNI protocol versions supported: 0\.1\.0, 0\.2\.0, 0\.3\.0, 0\.3\.1, 0\.4\.0, 1\.0\.0, 1\.1\.0\n$/,
    ),
    exitCode: 0,
  });
});

describe('the first thing that is wrong is told', () => {
  const own = () => true;
  test.each([
    [
      'bad variable',
      { env: { CNI_CONTAINERID: '/', CNI_PATH: '' }, stdin: '' },
      4,
      'invalid characters in containerID',
    ],
    ['missing variable', { env: { CNI_PATH: '' }, stdin: '' }, 4, 'required env variables [CNI_PATH] missing'],
    ['stdin', { command: 'FOO', stdin: '' }, 6, 'error unmarshall network config: stdin is empty'],
    ['name', { command: 'FOO', stdin: '{"cniVersion":"9"}' }, 7, 'missing network name'],
    ['command', { command: 'FOO', stdin: config('9') }, 4, 'unknown CNI_COMMAND: FOO'],
    ['version', { stdin: config('9'), isOwnNetns: own }, 1, 'incompatible CNI versions'],
    ['verb', { command: 'CHECK', stdin: config('0.1') }, 1, 'config version does not allow CHECK'],
    [
      'own namespace',
      { stdin: config('1.1.0'), isOwnNetns: own },
      8,
      expect.stringContaining('should not be the same'),
    ],
  ])('%s', async (_what, given, errorCode, msg) => {
    expect(await error(given)).toMatchObject({ code: errorCode, msg });
  });
});

test('an error before the version is known, or in one that is none, is told in the newest', async () => {
  expect(await error({ stdin: '' })).toMatchObject({ cniVersion: '1.1.0', code: 6 });
  expect(await error({ stdin: config('9.9') })).toMatchObject({ cniVersion: '1.1.0', code: 1 });
});

test('a stdin that cannot be read is code 5', async () => {
  const stdin = () => {
    throw new Error('EIO: i/o error, read');
  };
  expect(await error({ stdin })).toMatchObject({ code: 5, msg: 'error reading from stdin: EIO: i/o error, read' });
});

test('an exception that is no CniError is code 999, without stack or details', async () => {
  const crash = async () => {
    throw new TypeError('x is not a function');
  };
  expect(await error({ stdin: config('1.0.0'), plugin: fakePlugin({ add: crash }) })).toEqual({
    cniVersion: '1.0.0',
    code: 999,
    msg: 'x is not a function',
  });
});

test('a result that the version has no form for is an error, not half a result', async () => {
  expect(await error({ stdin: config('0.2.0'), plugin: fakePlugin({}, emptyResult) })).toMatchObject({
    cniVersion: '0.2.0',
    code: 1,
    msg: expect.stringContaining('no valid IP addresses'),
  });
});

describe("the plugin's own namespace", () => {
  const isOwnNetns = (path: string) => path === '/own';
  test('is refused for ADD before anything is done', async () => {
    const plugin = fakePlugin();
    expect(
      await error({ command: 'ADD', env: { CNI_NETNS: '/own' }, stdin: config('1.1.0'), plugin, isOwnNetns }),
    ).toEqual({
      cniVersion: '1.1.0',
      code: 8,
      msg: "plugin's netns and netns from CNI_NETNS should not be the same",
      details: expect.stringContaining('CNI_NETNS_OVERRIDE=1'),
    });
    expect(plugin.calls).toEqual([]);
  });
  test.each([
    { netns: '/own', seen: '' },
    { netns: '/other', seen: '/other' },
  ])('DEL with $netns sees "$seen": the path of a container that is gone leads to it', async ({ netns, seen }) => {
    const found: string[] = [];
    const del = async (call: Call) => {
      found.push(call.netns);
    };
    const given = { command: 'DEL', env: { CNI_NETNS: netns }, stdin: config('1.1.0'), isOwnNetns };
    expect(await run({ ...given, plugin: fakePlugin({ del }) })).toMatchObject({ exitCode: 0 });
    expect(found).toEqual([seen]);
  });
  test.each(['1', 'true', 'TRUE', 'True'])('is allowed by CNI_NETNS_OVERRIDE=%s', async (override) => {
    const env = { CNI_NETNS: '/own', CNI_NETNS_OVERRIDE: override };
    expect(await run({ command: 'ADD', env, stdin: config('1.1.0'), isOwnNetns })).toMatchObject({ exitCode: 0 });
  });
  test.each(['', '0', 'yes'])('is not by CNI_NETNS_OVERRIDE=%s', async (override) => {
    const env = { CNI_NETNS: '/own', CNI_NETNS_OVERRIDE: override };
    expect(await error({ command: 'ADD', env, stdin: config('1.1.0'), isOwnNetns })).toMatchObject({ code: 8 });
  });
  test.each([
    ['CHECK', '/own'],
    ['GC', '/own'],
    ['STATUS', '/own'],
    ['DEL', ''],
    ['DEL', '/other'],
  ])('%s with CNI_NETNS=%s passes', async (command, netns) => {
    const given = { command, env: { CNI_NETNS: netns }, stdin: config('1.1.0'), isOwnNetns };
    expect(await run(given)).toMatchObject({ exitCode: 0 });
  });
  test('that cannot be looked at is code 8', async () => {
    const unreadable = () => {
      throw new CniError(8, "get plugin's netns failed");
    };
    expect(await error({ stdin: config('1.1.0'), isOwnNetns: unreadable })).toMatchObject({ code: 8 });
  });
});

test('failure() leaves out empty details', () => {
  const error = new CniError(4, 'm');
  expect(failure(error)).toEqual({
    error,
    stdout: '{\n    "cniVersion": "1.1.0",\n    "code": 4,\n    "msg": "m"\n}',
    stderr: '',
    exitCode: 1,
  });
});
