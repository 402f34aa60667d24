import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CniError } from '../../../../lib/cni/errors.ts';
import { addNetwork, checkNetwork, delNetwork, statusNetwork } from '../../../../lib/libcni/chain.ts';
import { type Runtime, supportedVersions } from '../../../../lib/libcni/execute.ts';
import { type Network, parseNetwork } from '../../../../lib/libcni/network.ts';

/**
 * A plugin that writes down what it was given, in the order of the calls, and answers with the file `TYPE.VERB`. A
 * file `TYPE.VERB.fails` is printed with status 1 instead.
 */
const SCRIPT = `#!/bin/sh
type=\${0##*/}
call=$type.$CNI_COMMAND
echo "$call" >> "$WORLD/calls"
{ echo "$CNI_CONTAINERID|$CNI_NETNS|$CNI_IFNAME|$CNI_ARGS|$CNI_PATH"; /bin/cat; } > "$WORLD/$call.given"
if [ -e "$WORLD/$call.fails" ]; then /bin/cat "$WORLD/$call.fails"; exit 1; fi
if [ -e "$WORLD/$call" ]; then /bin/cat "$WORLD/$call"; fi
`;

const attachment = { containerId: 'c1', netns: '/run/netns/c1', ifname: 'eth0' };
const ports = { portMappings: [{ hostPort: 80, containerPort: 8 }] };
const first = { cniVersion: '1.1.0', ips: [{ address: '10.1.0.5/24' }] };
const second = { cniVersion: '1.1.0', ips: [{ address: '10.1.0.5/24', gateway: '10.1.0.1' }] };
const refusal = JSON.stringify({ code: 11, msg: 'not now', details: 'later' });

let world = '';
let warnings: string[] = [];
let interrupted = false;
let runtime: Runtime;

beforeEach(() => {
  world = mkdtempSync(join(tmpdir(), 'chain-'));
  mkdirSync(join(world, 'bin'));
  for (const type of ['one', 'two']) {
    put(`bin/${type}`, SCRIPT);
    chmodSync(join(world, 'bin', type), 0o755);
  }
  put('one.ADD', JSON.stringify(first));
  put('two.ADD', JSON.stringify(second));
  warnings = [];
  interrupted = false;
  runtime = {
    path: [join(world, 'bin')],
    cacheDir: join(world, 'cache'),
    env: { WORLD: world },
    host: {
      warn: (message) => warnings.push(message),
      checkpoint: async () => {
        if (interrupted && calls().length > 0) throw new CniError(105, 'interrupted');
      },
    },
  };
});
afterEach(() => rmSync(world, { recursive: true }));

function put(name: string, content: string): void {
  writeFileSync(join(world, name), content);
}

function calls(): readonly string[] {
  return existsSync(join(world, 'calls')) ? readFileSync(join(world, 'calls'), 'utf8').trim().split('\n') : [];
}

function given(call: string): { env: string; stdin: { prevResult?: unknown; runtimeConfig?: unknown } } {
  const [env = '', stdin = ''] = readFileSync(join(world, `${call}.given`), 'utf8').split('\n');
  return { env, stdin: JSON.parse(stdin) as object };
}

function cached(): readonly string[] {
  return existsSync(join(world, 'cache/results')) ? readdirSync(join(world, 'cache/results')) : [];
}

function network(keys: object = {}): Network {
  const plugins = [{ type: 'one' }, { type: 'two', name: 'second', capabilities: { portMappings: true } }];
  return parseNetwork(JSON.stringify({ cniVersion: '1.1.0', name: 'net1', plugins, ...keys }));
}

describe('addNetwork()', () => {
  test('runs the plugins in order, hands each the result before it, and keeps the last', async () => {
    const full = {
      ...attachment,
      args: [
        ['A', '1'],
        ['B', '2'],
      ] as const,
      capabilityArgs: ports,
    };
    const result = await addNetwork(runtime, network(), full);
    expect(result.ips).toEqual([{ address: '10.1.0.5/24', gateway: '10.1.0.1' }]);
    expect(calls()).toEqual(['one.ADD', 'two.ADD']);
    expect(given('one.ADD')).toEqual({
      env: `c1|/run/netns/c1|eth0|A=1;B=2|${world}/bin`,
      stdin: { cniVersion: '1.1.0', name: 'net1', type: 'one' },
    });
    expect(given('two.ADD').stdin).toMatchObject({ name: 'net1', prevResult: first, runtimeConfig: ports });
    expect(cached()).toEqual(['net1-c1-eth0']);
  });

  test('runs nothing when one of the plugins is missing', async () => {
    rmSync(join(world, 'bin/two'));
    await expect(addNetwork(runtime, network(), attachment)).rejects.toThrow('failed to find plugin "two"');
    expect(calls()).toEqual([]);
  });

  test('runs nothing for a bad name', async () => {
    await expect(addNetwork(runtime, network(), { ...attachment, ifname: '..' })).rejects.toThrow('interface name');
    await expect(addNetwork(runtime, network({ name: 'a b' }), attachment)).rejects.toThrow('network name');
    expect(calls()).toEqual([]);
  });

  test('undoes nothing when the first plugin fails: what is in its way may be alive', async () => {
    put('one.ADD.fails', refusal);
    const failing = addNetwork(runtime, network(), attachment);
    await expect(failing).rejects.toMatchObject({ code: 11, message: 'plugin type="one" failed (add): not now' });
    expect(calls()).toEqual(['one.ADD']);
    expect(cached()).toEqual([]);
  });

  test('undoes what was done when a later plugin fails', async () => {
    put('two.ADD.fails', refusal);
    await expect(addNetwork(runtime, network(), attachment)).rejects.toMatchObject({
      code: 11,
      message: 'plugin type="two" name="second" failed (add): not now',
      details: 'later; what was done before it is undone',
    });
    expect(calls()).toEqual(['one.ADD', 'two.ADD', 'two.DEL', 'one.DEL']);
    expect(given('one.DEL').stdin.prevResult).toEqual(first);
    expect(cached()).toEqual([]);
  });

  test('undoes nothing of a container that was added before: its first plugin may not mind, the second one does', async () => {
    await addNetwork(runtime, network(), attachment);
    put('two.ADD.fails', refusal);
    const adding = addNetwork(runtime, network(), attachment);
    await expect(adding).rejects.toMatchObject({
      code: 11,
      details: expect.stringMatching(/^later; nothing is undone/),
    });
    expect(calls()).toEqual(['one.ADD', 'two.ADD', 'one.ADD', 'two.ADD']);
    expect(cached()).toEqual(['net1-c1-eth0']);
  });

  test('undoes the others even if the failed plugin refuses DEL, too, and tells both', async () => {
    put('two.ADD.fails', refusal);
    put('two.DEL.fails', JSON.stringify({ code: 7, msg: 'bad key' }));
    await expect(addNetwork(runtime, network(), attachment)).rejects.toMatchObject({
      message: expect.stringMatching(/\(add\): not now; .*\(delete\): bad key/) as string,
      details: 'later; run DEL once the cause is gone',
    });
    expect(calls()).toEqual(['one.ADD', 'two.ADD', 'two.DEL', 'one.DEL']);
  });

  test('undoes all when the result cannot be kept', async () => {
    put('cache', 'a file where the folder should be');
    await expect(addNetwork(runtime, network(), attachment)).rejects.toMatchObject({ code: 5 });
    expect(calls()).toEqual(['one.ADD', 'two.ADD', 'two.DEL', 'one.DEL']);
  });

  test('undoes what was done when it is interrupted', async () => {
    interrupted = true;
    await expect(addNetwork(runtime, network(), attachment)).rejects.toThrow('interrupted');
    expect(calls()).toEqual(['one.ADD', 'two.DEL', 'one.DEL']);
  });

  test('says what a plugin printed that is no answer', async () => {
    put('one.ADD', 'Hello');
    await expect(addNetwork(runtime, network(), attachment)).rejects.toMatchObject({
      code: 104,
      message: 'plugin "one" failed (add): it printed no JSON result',
    });
  });
});

describe('checkNetwork()', () => {
  test('gives every plugin the final result, in order, and the ports that ADD was given', async () => {
    await addNetwork(runtime, network(), { ...attachment, capabilityArgs: ports });
    await expect(checkNetwork(runtime, network(), attachment)).resolves.toBe('checked');
    expect(calls().slice(2)).toEqual(['one.CHECK', 'two.CHECK']);
    expect(given('one.CHECK').stdin.prevResult).toEqual(second);
    expect(given('two.CHECK').stdin).toMatchObject({ prevResult: second, runtimeConfig: ports });
  });

  test('prefers what the caller says', async () => {
    await addNetwork(runtime, network(), { ...attachment, capabilityArgs: ports });
    const other = { portMappings: [{ hostPort: 1, containerPort: 1 }] };
    await checkNetwork(runtime, network(), { ...attachment, capabilityArgs: other });
    expect(given('two.CHECK').stdin.runtimeConfig).toEqual(other);
  });

  test('stops at the first plugin that finds something', async () => {
    put('one.CHECK.fails', refusal);
    await expect(checkNetwork(runtime, network(), attachment)).rejects.toThrow('type="one" failed (check): not now');
    expect(calls()).toEqual(['one.CHECK']);
  });

  test('is not for networks before 0.4.0', async () => {
    const old = network({ cniVersion: '0.3.1' });
    await expect(checkNetwork(runtime, old, attachment)).rejects.toThrow('"0.3.1" does not support the CHECK command');
    expect(calls()).toEqual([]);
  });

  test('asks nobody when the network disables it', async () => {
    await expect(checkNetwork(runtime, network({ disableCheck: 'true' }), attachment)).resolves.toBe('disabled');
    expect(calls()).toEqual([]);
  });

  test('reports a damaged cache', async () => {
    mkdirSync(join(world, 'cache/results'), { recursive: true });
    put('cache/results/net1-c1-eth0', '{');
    await expect(checkNetwork(runtime, network(), attachment)).rejects.toThrow('cached result');
  });
});

describe('delNetwork()', () => {
  test('runs the plugins in reverse with the final result, and forgets it', async () => {
    await addNetwork(runtime, network(), { ...attachment, args: [['A', '1']], capabilityArgs: ports });
    await delNetwork(runtime, network(), attachment);
    expect(calls().slice(2)).toEqual(['two.DEL', 'one.DEL']);
    expect(given('two.DEL').env).toContain('|A=1|');
    expect(given('two.DEL').stdin).toMatchObject({ prevResult: second, runtimeConfig: ports });
    expect(cached()).toEqual([]);
  });

  test('works without a cache', async () => {
    await delNetwork(runtime, network(), attachment);
    expect(calls()).toEqual(['two.DEL', 'one.DEL']);
    expect(given('one.DEL').stdin).not.toHaveProperty('prevResult');
  });

  test('stops at the first failure and keeps the cache for the next try', async () => {
    await addNetwork(runtime, network(), attachment);
    put('two.DEL.fails', refusal);
    await expect(delNetwork(runtime, network(), attachment)).rejects.toThrow('name="second" failed (delete): not now');
    expect(calls().slice(2)).toEqual(['two.DEL']);
    expect(cached()).toEqual(['net1-c1-eth0']);
  });

  test('goes on without a damaged cache, and removes it', async () => {
    mkdirSync(join(world, 'cache/results'), { recursive: true });
    put('cache/results/net1-c1-eth0', '{"kind":');
    await delNetwork(runtime, network(), attachment);
    expect(calls()).toEqual(['two.DEL', 'one.DEL']);
    expect(warnings).toEqual([expect.stringContaining('going on without the cached result')]);
    expect(cached()).toEqual([]);
  });

  test('hands on no prevResult before 0.4.0', async () => {
    const old = network({ cniVersion: '0.3.1' });
    const answer = JSON.stringify({ cniVersion: '0.3.1', ips: [{ version: '4', address: '10.1.0.5/24' }] });
    put('one.ADD', answer);
    put('two.ADD', answer);
    await addNetwork(runtime, old, attachment);
    await delNetwork(runtime, old, attachment);
    expect(given('one.DEL').stdin).not.toHaveProperty('prevResult');
  });
});

describe('statusNetwork()', () => {
  test('asks each plugin about the node, not about a container', async () => {
    await expect(statusNetwork(runtime, network())).resolves.toBe('ready');
    expect(calls()).toEqual(['one.STATUS', 'two.STATUS']);
    expect(given('one.STATUS').env).toBe(`||||${world}/bin`);
  });

  test('throws the first refusal, with its code', async () => {
    put('one.STATUS.fails', JSON.stringify({ code: 50, msg: 'no iptables' }));
    await expect(statusNetwork(runtime, network())).rejects.toMatchObject({ code: 50 });
    expect(calls()).toEqual(['one.STATUS']);
  });

  test('asks nobody before 1.1.0', async () => {
    await expect(statusNetwork(runtime, network({ cniVersion: '1.0.0' }))).resolves.toBe('unknown');
    expect(calls()).toEqual([]);
  });
});

describe('supportedVersions()', () => {
  test.each([
    { answer: '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}', versions: ['0.4.0', '1.0.0'] },
    { answer: '{"cniVersion":"0.2.0"}', versions: ['0.1.0', '0.2.0'] },
    { answer: '{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}', versions: ['0.1.0'] },
  ])('reads $versions in $answer', async ({ answer, versions }) => {
    put('one.VERSION', answer);
    await expect(supportedVersions(runtime, 'one')).resolves.toEqual(versions);
  });

  test('says what the plugin said instead', async () => {
    put('one.VERSION', 'usage: one');
    await expect(supportedVersions(runtime, 'one')).rejects.toMatchObject({
      details: expect.stringContaining('usage: one') as string,
    });
  });
});
