/** The verbs around a delegate of ours and around a foreign one, which both tell what they were asked. */
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
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CniError } from '../../../../lib/cni/errors.ts';
import type { Call, Verb } from '../../../../lib/cni/plugin.ts';
import type { Result } from '../../../../lib/cni/result.ts';
import { trailerOf } from '../../../../lib/sea/trailer.ts';
import { flannel } from '../../../../plugins/flannel/flannel.ts';
import { fakeCall, fakeHost, fakePlugin } from '../../lib/cni/fake-call.ts';
import { DELEGATED, MANIFEST, SUBNET_ENV } from './fixtures.ts';

const { buildId } = vi.hoisted(() => ({ buildId: '0123456789abcdef'.repeat(2) }));
vi.mock('../../../../lib/sea/build-info.ts', () => ({ buildId, version: '0.0.0' }));

const RESULT: Result = { interfaces: [], ips: [{ address: '10.244.1.5/24' }], routes: [], dns: {} };

let root: string;
/** Answers ADD with RESULT, fails where a test says so. */
let bridge: ReturnType<typeof fakePlugin>;
let failing: Map<Verb, CniError>;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'flannel-'));
  failing = new Map();
  const act = async (call: Call) => {
    const error = failing.get(call.verb);
    bridge.calls.push(call);
    if (error !== undefined) throw error;
    return RESULT;
  };
  const tell = async (call: Call) => void (await act(call));
  bridge = fakePlugin({ name: 'bridge', add: act, check: tell, del: tell, gc: tell, status: tell });
  mkdirSync(join(root, 'bin'));
  // This very build, for lookups.
  writeFileSync(join(root, 'bin/bridge'), trailerOf(buildId));
  writeFileSync(join(root, 'subnet.env'), SUBNET_ENV);
});

afterEach(() => rmSync(root, { recursive: true }));

const ipam = () => ({ dataDir: join(root, 'networks') });

function makeCall(verb: Verb, config: object = {}, over: Partial<Call> = {}): Call {
  const own = { ...MANIFEST, subnetFile: join(root, 'subnet.env'), dataDir: join(root, 'state'), ipam: ipam() };
  const env = { CNI_COMMAND: verb, CNI_CONTAINERID: 'c1', CNI_IFNAME: 'eth0' };
  const host = fakeHost({ builtins: [bridge] });
  return fakeCall({ ...own, ...config }, { verb, path: [join(root, 'bin')], env, host, ...over });
}

const states = () => (existsSync(join(root, 'state')) ? readdirSync(join(root, 'state')) : []);

/** Stdin of the delegate's last call, as JSON. */
const told = () => JSON.parse(bridge.calls.at(-1)?.stdin ?? '{}') as { [key: string]: unknown };

/** DELEGATED, with the folder of leases that these tests use. */
const delegated = () => {
  const expected = JSON.parse(DELEGATED) as { ipam: object };
  return { ...expected, ipam: { ...expected.ipam, ...ipam() } };
};

const PREVIOUS = { cniVersion: '0.3.1', ips: [{ version: '4', address: '10.244.1.5/24' }] };

async function added(): Promise<void> {
  await flannel.add(makeCall('ADD'));
  bridge.calls.length = 0;
}

describe('ADD', () => {
  test('stores what the delegate gets, and returns its result', async () => {
    expect(await flannel.add(makeCall('ADD'))).toMatchObject({ ips: [{ address: '10.244.1.5/24' }] });
    expect(bridge.calls.map(({ verb }) => verb)).toEqual(['ADD']);
    expect(told()).toEqual(delegated());
    expect(states()).toEqual(['c1']);
    expect(readFileSync(join(root, 'state/c1'), 'utf8')).toBe(bridge.calls[0]?.stdin);
  });

  test('failed by a delegate of ours, which has undone it: no DEL, no state', async () => {
    failing.set('ADD', new CniError(100, 'full'));
    await expect(flannel.add(makeCall('ADD'))).rejects.toMatchObject({ code: 100, message: 'full' });
    expect(bridge.calls.map(({ verb }) => verb)).toEqual(['ADD']);
    expect(states()).toEqual([]);
  });

  test('refused for an attachment that lives: its state stays', async () => {
    await added();
    writeFileSync(join(root, 'subnet.env'), SUBNET_ENV.replace('1450', '1400'));
    failing.set('ADD', new CniError(101, 'exists'));
    await expect(flannel.add(makeCall('ADD'))).rejects.toMatchObject({ code: 101 });
    expect(bridge.calls.map(({ verb }) => verb)).toEqual(['ADD']);
    expect(JSON.parse(readFileSync(join(root, 'state/c1'), 'utf8'))).toEqual(delegated());
  });

  test('interrupted after the delegate had ended: taken back', async () => {
    let checks = 0;
    const checkpoint = async () => {
      checks += 1;
      if (checks === 2) throw new CniError(105, 'interrupted by SIGTERM');
    };
    const host = fakeHost({ builtins: [bridge], checkpoint });
    await expect(flannel.add(makeCall('ADD', {}, { host }))).rejects.toMatchObject({ code: 105 });
    expect(bridge.calls.map(({ verb }) => verb)).toEqual(['ADD', 'DEL']);
    expect(states()).toEqual([]);
  });

  test('without the delegate writes nothing', async () => {
    const call = makeCall('ADD', { delegate: { type: 'ptp' } });
    await expect(flannel.add(call)).rejects.toMatchObject({ code: 104 });
    expect(states()).toEqual([]);
  });
});

describe('a foreign delegate', () => {
  /** A shell script that notes each verb and its stdin, and fails those of `broken`. */
  function script(broken: readonly Verb[] = []): void {
    const lines = [
      '#!/bin/sh',
      `echo "$CNI_COMMAND" >>${root}/verbs; /bin/cat >${root}/stdin`,
      ...broken.map((verb) => `[ $CNI_COMMAND != ${verb} ] || { echo '{"code": 42, "msg": "broken"}'; exit 1; }`),
      `[ $CNI_COMMAND != ADD ] || echo '{"cniVersion": "0.3.1", "ips": [{"version": "4", "address": "10.244.1.5/24"}]}'`,
    ];
    writeFileSync(join(root, 'bin/ptp'), `${lines.join('\n')}\n`);
    chmodSync(join(root, 'bin/ptp'), 0o755);
  }
  const ptp = { delegate: { type: 'ptp' } };
  const verbs = () => readFileSync(join(root, 'verbs'), 'utf8').trim().split('\n');

  test('gets what the original gives it', async () => {
    script();
    expect(await flannel.add(makeCall('ADD', ptp))).toMatchObject({ ips: [{ address: '10.244.1.5/24' }] });
    await flannel.del(makeCall('DEL', ptp));
    expect(verbs()).toEqual(['ADD', 'DEL']);
    expect(states()).toEqual([]);
  });

  test('that failed may have left something: DEL', async () => {
    script(['ADD']);
    await expect(flannel.add(makeCall('ADD', ptp))).rejects.toMatchObject({ code: 42, message: 'broken' });
    expect(verbs()).toEqual(['ADD', 'DEL']);
    expect(states()).toEqual([]);
  });

  test('that can neither be had nor undone: the state stays for DEL', async () => {
    script(['ADD', 'DEL']);
    const ended = expect(flannel.add(makeCall('ADD', ptp))).rejects;
    await ended.toMatchObject({ code: 42, details: expect.stringContaining('could not take back') });
    expect(states()).toEqual(['c1']);
  });

  test('that refuses an attachment that lives is not made to delete it', async () => {
    script();
    await flannel.add(makeCall('ADD', ptp));
    script(['ADD']);
    await expect(flannel.add(makeCall('ADD', ptp))).rejects.toMatchObject({ code: 42 });
    expect(verbs()).toEqual(['ADD', 'ADD']);
    expect(states()).toEqual(['c1']);
  });

  test('whose DEL fails keeps its state; without one its records are released', async () => {
    script();
    await flannel.add(makeCall('ADD', ptp));
    script(['DEL']);
    await expect(flannel.del(makeCall('DEL', ptp))).rejects.toMatchObject({ code: 42 });
    expect(states()).toEqual(['c1']);
    writeFileSync(join(root, 'state/c1'), '');
    const call = makeCall('DEL', ptp);
    await flannel.del(call);
    expect(states()).toEqual([]);
    expect(call.host).toMatchObject({
      warnings: [expect.stringContaining('is damaged'), expect.stringContaining('without the delegate: broken')],
    });
  });

  test('is not told of a namespace that is the host’s own', async () => {
    script();
    writeFileSync(join(root, 'bin/ptp'), `#!/bin/sh\necho "<$CNI_NETNS>" >${root}/netns\n`);
    const env = { CNI_COMMAND: 'DEL', CNI_NETNS: '/proc/self/ns/net' };
    await flannel.del(makeCall('DEL', ptp, { env, netns: '' }));
    expect(readFileSync(join(root, 'netns'), 'utf8')).toBe('<>\n');
  });
});

describe('subnet.env', () => {
  const words =
    /^failed to load flannel 'subnet.env' file: open .*: no such file or directory. Check the flannel pod log/;

  test('missing: try again later, with who writes it and how to look', async () => {
    rmSync(join(root, 'subnet.env'));
    const error = await flannel.add(makeCall('ADD')).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 11, message: expect.stringMatching(words) });
    expect(error).toMatchObject({ details: expect.stringMatching(/flanneld writes.*kubectl -n kube-flannel logs/) });
    expect(states()).toEqual([]);
  });

  test('half-written', async () => {
    writeFileSync(join(root, 'subnet.env'), SUBNET_ENV.slice(0, 40));
    const message = expect.stringMatching(
      /subnet.env is missing FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ\./,
    );
    await expect(flannel.add(makeCall('ADD'))).rejects.toMatchObject({ code: 11, message });
  });

  test('with a bad value', async () => {
    writeFileSync(join(root, 'subnet.env'), SUBNET_ENV.replace('1450', 'big'));
    await expect(flannel.add(makeCall('ADD'))).rejects.toMatchObject({
      code: 7,
      message: expect.stringContaining('FLANNEL_MTU'),
    });
  });

  test('is waited for, if asked', async () => {
    rmSync(join(root, 'subnet.env'));
    const adding = flannel.add(makeCall('ADD', { subnetFileWaitMs: 60_000 }));
    writeFileSync(join(root, 'subnet.env'), SUBNET_ENV.slice(0, 40));
    setTimeout(() => writeFileSync(join(root, 'subnet.env'), SUBNET_ENV), 150);
    expect(await adding).toMatchObject({ ips: [{ address: '10.244.1.5/24' }] });
  });

  test('is not waited for past a SIGTERM', async () => {
    rmSync(join(root, 'subnet.env'));
    const host = fakeHost({ checkpoint: () => Promise.reject(new CniError(105, 'interrupted')) });
    const call = makeCall('ADD', { subnetFileWaitMs: 60_000 }, { host });
    await expect(flannel.add(call)).rejects.toMatchObject({ code: 105 });
  });
});

describe('DEL', () => {
  test('gives the delegate what ADD stored, with the result, and then removes it', async () => {
    await added();
    rmSync(join(root, 'subnet.env'));
    await flannel.del(makeCall('DEL', { prevResult: PREVIOUS }));
    expect(told()).toEqual({ ...delegated(), prevResult: PREVIOUS });
    expect(states()).toEqual([]);
  });

  test('keeps the state when the delegate failed', async () => {
    await added();
    failing.set('DEL', new CniError(102, 'ip failed'));
    await expect(flannel.del(makeCall('DEL'))).rejects.toMatchObject({ code: 102 });
    expect(states()).toEqual(['c1']);
  });

  const without = {
    ...MANIFEST.delegate,
    ipMasq: true,
    isGateway: true,
    name: 'cbr0',
    cniVersion: '0.3.1',
    type: 'bridge',
  };
  const ranges = [[{ subnet: '10.244.1.0/24' }]];
  test.each([
    [
      'subnet.env',
      { hasFile: true, prevResult: undefined },
      () => ({ ...delegated(), ipam: { ...delegated().ipam, routes: [{ dst: '10.244.0.0/16' }] } }),
    ],
    [
      'prevResult',
      { hasFile: false, prevResult: PREVIOUS },
      () => ({ ...without, prevResult: PREVIOUS, ipam: { type: 'host-local', ...ipam(), ranges, routes: [] } }),
    ],
    [
      'nothing',
      { hasFile: false, prevResult: undefined },
      () => ({ ...without, ipam: { type: 'host-local', ...ipam(), ranges: [], routes: [] } }),
    ],
    [
      'a torn prevResult',
      { hasFile: false, prevResult: { ips: 1 } },
      () => ({ ...without, ipam: { type: 'host-local', ...ipam(), ranges: [], routes: [] } }),
    ],
  ])('makes the configuration anew from %s', async (_what, { hasFile, prevResult }, expected) => {
    for (const state of ['missing', '', '{"type":"br', '{"type":"flannel","name":"cbr0"}']) {
      mkdirSync(join(root, 'state'), { recursive: true });
      if (state !== 'missing') writeFileSync(join(root, 'state/c1'), state);
      if (!hasFile) rmSync(join(root, 'subnet.env'), { force: true });
      await flannel.del(makeCall('DEL', { prevResult }));
      expect(told()).toEqual(expected());
      expect(states()).toEqual([]);
    }
  });

  test.each([11, 105])('is to be tried again after code %i', async (code) => {
    failing.set('DEL', new CniError(code, 'later'));
    await expect(flannel.del(makeCall('DEL'))).rejects.toMatchObject({ code });
  });

  test('that the delegate cannot do goes by the records', async () => {
    failing.set('DEL', new CniError(7, 'no IP ranges specified'));
    await flannel.del(makeCall('DEL'));
    expect(states()).toEqual([]);
  });
});

describe('CHECK', () => {
  test('delegates, with the result', async () => {
    await added();
    await flannel.check(makeCall('CHECK', { prevResult: PREVIOUS }));
    expect(bridge.calls.map(({ verb }) => verb)).toEqual(['CHECK']);
    expect(told()).toEqual({ ...delegated(), prevResult: PREVIOUS });
    failing.set('CHECK', new CniError(103, 'the link is gone'));
    await expect(flannel.check(makeCall('CHECK'))).rejects.toMatchObject({ code: 103 });
  });
});

describe('GC', () => {
  const attachments = [{ containerID: 'c2', ifname: 'eth0' }];
  const valid = { 'cni.dev/valid-attachments': attachments, 'cni.dev/attachments': attachments };

  test('hands the list on, then drops the state of the dead', async () => {
    await added();
    await flannel.add(makeCall('ADD', {}, { containerId: 'c2' }));
    rmSync(join(root, 'subnet.env'));
    await flannel.gc(makeCall('GC', valid));
    expect(told()).toMatchObject({ ...valid, name: 'cbr0', type: 'bridge', ipam: ipam() });
    expect(states()).toEqual(['c2']);
  });

  test('keeps the state when the delegate failed', async () => {
    await added();
    failing.set('GC', new CniError(5, 'read-only'));
    await expect(flannel.gc(makeCall('GC', valid))).rejects.toMatchObject({ code: 5 });
    expect(states()).toEqual(['c1']);
  });

  test('without a list touches nothing', async () => {
    await added();
    await expect(flannel.gc(makeCall('GC'))).rejects.toMatchObject({ code: 7 });
    expect(bridge.calls).toEqual([]);
    expect(states()).toEqual(['c1']);
  });
});

describe('STATUS', () => {
  test('asks the delegate', async () => {
    await flannel.status(makeCall('STATUS'));
    expect(bridge.calls.map(({ verb }) => verb)).toEqual(['STATUS']);
    failing.set('STATUS', new CniError(50, 'cannot find ip'));
    await expect(flannel.status(makeCall('STATUS'))).rejects.toMatchObject({ code: 50, message: 'cannot find ip' });
  });

  test.each([
    ['is missing', undefined, /no such file or directory/],
    ['is half-written', SUBNET_ENV.slice(0, 60), /is missing FLANNEL_MTU, FLANNEL_IPMASQ/],
    ['has a bad value', SUBNET_ENV.replace('1450', 'big'), /FLANNEL_MTU/],
  ])('fails with 50 while subnet.env %s', async (_what, text, message) => {
    if (text === undefined) rmSync(join(root, 'subnet.env'));
    else writeFileSync(join(root, 'subnet.env'), text);
    const ended = expect(flannel.status(makeCall('STATUS'))).rejects;
    await ended.toMatchObject({ code: 50, message: expect.stringMatching(message) });
  });

  test('fails with 50 without the delegate', async () => {
    rmSync(join(root, 'bin/bridge'));
    await expect(flannel.status(makeCall('STATUS'))).rejects.toMatchObject({ code: 50 });
  });
});
