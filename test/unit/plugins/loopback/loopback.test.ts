/** loopback: the result it makes, and what each verb does to `lo`. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { renderResult } from '../../../../lib/cni/convert.ts';
import { CniError } from '../../../../lib/cni/errors.ts';
import { findTool } from '../../../../lib/exec.ts';
import { query, renderBatch, runBatch } from '../../../../lib/iproute2/batch.ts';
import { netnsState, openNetns } from '../../../../lib/linux/netns.ts';
import { loopback, planResult } from '../../../../plugins/loopback/loopback.ts';
import { fakeCall } from '../../lib/cni/fake-call.ts';
import { link } from '../bridge/fixtures.ts';

vi.mock(import('../../../../lib/exec.ts'), async (original) => ({ ...(await original()), findTool: vi.fn() }));
vi.mock(import('../../../../lib/iproute2/batch.ts'), async (original) => ({
  ...(await original()),
  query: vi.fn(),
  runBatch: vi.fn(),
}));
vi.mock(import('../../../../lib/linux/netns.ts'), () => ({
  netnsState: vi.fn(),
  openNetns: vi.fn(),
  isOwnNetns: vi.fn(),
}));

const ask = vi.mocked(query);
const send = vi.mocked(runBatch);
const open = vi.mocked(openNetns);
let inside = false;
let closed = 0;

beforeEach(() => {
  for (const mock of [ask, send, open]) mock.mockReset();
  inside = false;
  closed = 0;
  open.mockReturnValue({
    fdPath: '/proc/1/fd/9',
    run(action) {
      inside = true;
      try {
        return action();
      } finally {
        inside = false;
      }
    },
    [Symbol.dispose]() {
      closed += 1;
    },
  });
});

/** `lo` as ip shows it, told to whoever asks inside the namespace. */
function shows(addresses: readonly string[], flags = ['LOOPBACK', 'UP', 'LOWER_UP']): void {
  ask.mockImplementation(() => {
    expect(inside).toBe(true);
    return [[link('lo', { addresses, flags })]] as never;
  });
}

const lo = { name: 'lo', mac: '00:00:00:00:00:00', sandbox: '/run/netns/pod' };

describe('planResult()', () => {
  test.each([
    [
      ['127.0.0.1/8', '::1/128'],
      ['127.0.0.1/8', '::1/128'],
    ],
    [['127.0.0.1/8'], ['127.0.0.1/8']],
    [
      ['::1/128', '127.0.0.1/8', '127.0.0.2/8'],
      ['127.0.0.1/8', '::1/128'],
    ],
    [[], []],
  ])('of %j has the first address of each family', (addresses, expected) => {
    expect(planResult({ netns: '/run/netns/pod' }, link('lo', { addresses }))).toEqual({
      interfaces: [lo],
      ips: expected.map((address) => ({ address, interface: 0 })),
      routes: [],
      dns: {},
    });
  });
  test.each(['10.0.0.1/32', '128.0.0.1/8', 'fd00::1/128', '::2/128'])('refuses %s', (address) => {
    expect(() => planResult({ netns: '/n' }, link('lo', { addresses: ['127.0.0.1/8', address] }))).toThrow(
      expect.objectContaining({
        code: 101,
        message: `loopback interface found with non-loopback address "${address}"`,
      }),
    );
  });
});

describe('ADD', () => {
  test('brings lo up and tells its addresses, whatever CNI_IFNAME is', async () => {
    shows(['127.0.0.1/8', '::1/128']);
    const result = await loopback.add(fakeCall({}, { ifname: 'eth0' }));
    expect(result.interfaces).toEqual([lo]);
    expect(ask.mock.calls.map(([commands]) => renderBatch(commands))).toEqual([
      'link set dev lo up\naddr show dev lo\n',
    ]);
    expect(open).toHaveBeenCalledWith('/run/netns/pod');
    expect(closed).toBe(1);
  });
  test.each(['0.2.0', '0.4.0', '1.1.0'])('has a result in version %s', async (version) => {
    shows(['127.0.0.1/8', '::1/128']);
    const rendered = renderResult(await loopback.add(fakeCall({ cniVersion: version })), version);
    expect(JSON.stringify(rendered)).toContain('127.0.0.1/8');
  });
  test('hands on the result of the plugins before it, unchanged', async () => {
    shows(['127.0.0.1/8']);
    const prevResult = { cniVersion: '1.1.0', interfaces: [{ name: 'eth0', mac: '0A:00:00:00:00:01' }] };
    const result = await loopback.add(fakeCall({ prevResult }));
    expect(result.interfaces).toEqual(prevResult.interfaces);
    expect(ask).toHaveBeenCalled();
  });
  test('refuses a torn prevResult before anything is done', async () => {
    await expect(loopback.add(fakeCall({ prevResult: [] }))).rejects.toMatchObject({ code: 7 });
    expect(open).not.toHaveBeenCalled();
  });
});

describe('CHECK', () => {
  test('passes while lo is up', async () => {
    shows([]);
    await expect(loopback.check(fakeCall())).resolves.toBeUndefined();
  });
  test.each([
    ['down', () => shows([], ['LOOPBACK'])],
    ['missing', () => ask.mockReturnValue([])],
  ])('fails when lo is %s', async (_what, arrange) => {
    arrange();
    await expect(loopback.check(fakeCall())).rejects.toMatchObject({
      code: 103,
      message: 'loopback interface is down in /run/netns/pod',
    });
    expect(closed).toBe(1);
  });
});

describe('DEL', () => {
  test('brings lo down', async () => {
    vi.mocked(netnsState).mockReturnValue('netns');
    send.mockImplementation(() => expect(inside).toBe(true));
    await loopback.del(fakeCall());
    expect(send).toHaveBeenCalledWith([['link', 'set', 'dev', 'lo', 'down']]);
    expect(closed).toBe(1);
  });
  test.each(['absent', 'other'] as const)('succeeds when the namespace is gone (%s)', async (state) => {
    vi.mocked(netnsState).mockReturnValue(state);
    await expect(loopback.del(fakeCall())).resolves.toBeUndefined();
    expect(open).not.toHaveBeenCalled();
  });
});

test('GC has nothing to do, but wants its list', async () => {
  await expect(loopback.gc(fakeCall({ 'cni.dev/attachments': [] }))).resolves.toBeUndefined();
  await expect(loopback.gc(fakeCall())).rejects.toMatchObject({ code: 7 });
  expect(open).not.toHaveBeenCalled();
});

test('STATUS says when ip is missing', async () => {
  vi.mocked(findTool).mockReturnValueOnce('/sbin/ip');
  await expect(loopback.status(fakeCall())).resolves.toBeUndefined();
  vi.mocked(findTool).mockReturnValueOnce(undefined);
  await expect(loopback.status(fakeCall())).rejects.toThrow(CniError);
  vi.mocked(findTool).mockReturnValueOnce(undefined);
  await expect(loopback.status(fakeCall())).rejects.toMatchObject({ code: 50, message: 'cannot find ip' });
});
