/** The order in which an attachment is built, undone and taken away, with everything outside replaced by a log. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { delegate } from '../../../../lib/cni/delegate.ts';
import { CniError } from '../../../../lib/cni/errors.ts';
import { findTool } from '../../../../lib/exec.ts';
import { runBatch } from '../../../../lib/iproute2/batch.ts';
import { showLink } from '../../../../lib/iproute2/show.ts';
import { linkNames } from '../../../../lib/linux/links.ts';
import { netnsState, openNetns } from '../../../../lib/linux/netns.ts';
import { writeSysctl } from '../../../../lib/linux/sysctl.ts';
import { formatCidr } from '../../../../lib/net/ip.ts';
import { bridge } from '../../../../plugins/bridge/bridge.ts';
import { ensureBridge } from '../../../../plugins/bridge/bridge-link.ts';
import { deleteContainerLink, deleteHostLink } from '../../../../plugins/bridge/detach.ts';
import { type Addresses, addMasquerade, removeMasquerade } from '../../../../plugins/bridge/masquerade.ts';
import { fakeCall } from '../../lib/cni/fake-call.ts';
import { cidr, link } from './fixtures.ts';

vi.mock(import('../../../../lib/cni/delegate.ts'), async (original) => ({ ...(await original()), delegate: vi.fn() }));
vi.mock(import('../../../../lib/exec.ts'), async (original) => ({ ...(await original()), findTool: vi.fn() }));
vi.mock(import('../../../../lib/iproute2/batch.ts'), async (original) => ({
  ...(await original()),
  runBatch: vi.fn(),
}));
vi.mock(import('../../../../lib/iproute2/show.ts'), async (original) => ({ ...(await original()), showLink: vi.fn() }));
vi.mock(import('../../../../lib/linux/links.ts'), () => ({ linkNames: vi.fn(), parseLinkNames: vi.fn() }));
vi.mock(import('../../../../lib/linux/netns.ts'), () => ({
  netnsState: vi.fn(),
  openNetns: vi.fn(),
  isOwnNetns: vi.fn(),
}));
vi.mock(import('../../../../lib/linux/sysctl.ts'), async (original) => ({
  ...(await original()),
  writeSysctl: vi.fn(),
}));
vi.mock(import('../../../../plugins/bridge/bridge-link.ts'), async (original) => ({
  ...(await original()),
  ensureBridge: vi.fn(),
}));
vi.mock(import('../../../../plugins/bridge/detach.ts'), async (original) => ({
  ...(await original()),
  allAddresses: vi.fn(() => [cidr('10.2.0.5/24')]),
  deleteContainerLink: vi.fn(),
  deleteHostLink: vi.fn(),
}));
vi.mock(import('../../../../plugins/bridge/masquerade.ts'), async (original) => ({
  ...(await original()),
  addMasquerade: vi.fn(),
  removeMasquerade: vi.fn(),
}));

/** What happened, in order. */
let log: string[] = [];
/** The steps that fail. */
let failing: ReadonlySet<string> = new Set();

function step(name: string): void {
  log.push(name);
  if (failing.has(name)) throw new CniError(102, `${name} failed`);
}

const ADDRESS = '10.1.0.5/24';
const config = { isGateway: true, ipMasq: true, ipam: { type: 'host-local' } };
const prevResult = {
  cniVersion: '1.1.0',
  interfaces: [
    { name: 'cni0', mac: '02:00:00:00:00:0b' },
    { name: 'veth1', mac: '02:00:00:00:00:01' },
    { name: 'eth0', mac: '02:00:00:00:00:02', sandbox: '/run/netns/pod' },
  ],
  ips: [{ address: ADDRESS, interface: 2 }],
};

function texts(addresses: Addresses): string {
  const [[how, list] = []] = Object.entries(addresses);
  return `${how} ${[...new Set((list ?? []).map(formatCidr))].join(',')}`.trim();
}

beforeEach(() => {
  log = [];
  failing = new Set();
  vi.mocked(findTool).mockReset().mockReturnValue('/sbin/tool');
  vi.mocked(linkNames)
    .mockReset()
    .mockReturnValue(new Set(['lo', 'veth1', 'cni0']));
  vi.mocked(netnsState).mockReset().mockReturnValue('netns');
  vi.mocked(openNetns)
    .mockReset()
    .mockReturnValue({ fdPath: '/proc/1/fd/9', run: (action) => action(), [Symbol.dispose]: () => {} });
  vi.mocked(showLink)
    .mockReset()
    .mockImplementation((name) => {
      step('port');
      return link(name, { linkinfo: { info_kind: 'veth' }, address: '02:00:00:00:00:01' });
    });
  vi.mocked(runBatch)
    .mockReset()
    .mockImplementation(([first]) => step(`${first?.[0]} ${first?.[1]}`));
  vi.mocked(writeSysctl)
    .mockReset()
    .mockImplementation((name) => {
      if (name === 'net/ipv4/ip_forward') step('forwarding');
      return true;
    });
  vi.mocked(ensureBridge)
    .mockReset()
    .mockImplementation(() => {
      step('bridge');
      return '02:00:00:00:00:0b';
    });
  vi.mocked(deleteHostLink)
    .mockReset()
    .mockImplementation((name) => step(`delete ${name.slice(0, 4)}`));
  vi.mocked(deleteContainerLink)
    .mockReset()
    .mockImplementation((name) => {
      step(`delete ${name}`);
      return [cidr(ADDRESS)];
    });
  vi.mocked(addMasquerade)
    .mockReset()
    .mockImplementation(() => step('rules'));
  vi.mocked(removeMasquerade)
    .mockReset()
    .mockImplementation((_owner, family, addresses) => {
      step(`-rules${family} ${texts(addresses)}`);
    });
  vi.mocked(delegate)
    .mockReset()
    .mockImplementation(async (_call, { verb }) => {
      step(`ipam ${verb}`);
      return { interfaces: [], ips: [{ address: ADDRESS }], routes: [], dns: {} };
    });
});

describe('ADD', () => {
  const steps = ['ipam ADD', 'bridge', 'link add', 'addr add', 'forwarding', 'rules', 'port'];

  test('builds from the address to the port', async () => {
    const result = await bridge.add(fakeCall(config));
    expect(log).toEqual(steps);
    expect(result.ips).toEqual([{ address: ADDRESS, gateway: '10.1.0.1', interface: 2 }]);
  });

  const noRules = [`-rules4 only ${ADDRESS}`, `-rules6 only ${ADDRESS}`];
  test.each([
    ['ipam ADD', []],
    ['bridge', ['ipam DEL']],
    ['link add', ['delete veth', 'ipam DEL']],
    ['addr add', ['delete veth', 'ipam DEL']],
    ['forwarding', ['delete veth', 'ipam DEL']],
    ['rules', [...noRules, 'delete veth', 'ipam DEL']],
    ['port', [...noRules, 'delete veth', 'ipam DEL']],
  ])('that fails at "%s" undoes what it did, in reverse', async (name, undone) => {
    failing = new Set([name]);
    await expect(bridge.add(fakeCall(config))).rejects.toMatchObject({ code: 102, message: `${name} failed` });
    expect(log).toEqual([...steps.slice(0, steps.indexOf(name) + 1), ...undone]);
  });

  test('touches nothing when the container has an interface of this name', async () => {
    vi.mocked(linkNames).mockReturnValue(new Set(['lo', 'eth0']));
    await expect(bridge.add(fakeCall(config))).rejects.toMatchObject({
      code: 101,
      message: 'container veth name ("eth0") already exists in /run/netns/pod',
    });
    expect(log).toEqual([]);
  });

  test('asks a layer 2 bridge for links only', async () => {
    await bridge.add(fakeCall({}));
    expect(log).toEqual(['bridge', 'link add', 'link set', 'port']);
  });
});

describe('DEL', () => {
  const call = (keys: object = {}) => fakeCall({ ...config, ...keys }, { verb: 'DEL' });

  test('takes the link, then the rules, then the lease', async () => {
    await bridge.del(call({ prevResult }));
    expect(log).toEqual(['delete eth0', `-rules4 only ${ADDRESS}`, `-rules6 only ${ADDRESS}`, 'ipam DEL']);
  });

  test('leaves rules alone where there are none', async () => {
    await bridge.del(call({ ipMasq: false }));
    expect(log).toEqual(['delete eth0', 'ipam DEL']);
  });

  test('keeps the lease while the link stays, but takes the rules', async () => {
    failing = new Set(['delete eth0']);
    await expect(bridge.del(call({ prevResult }))).rejects.toThrow('delete eth0 failed');
    expect(log.filter((name) => name.startsWith('ipam'))).toEqual([]);
    expect(log.some((name) => name.startsWith('-rules4'))).toBe(true);
  });

  test('tries every step and tells of every failure', async () => {
    failing = new Set([`-rules4 only ${ADDRESS}`, 'ipam DEL']);
    await expect(bridge.del(call({ prevResult }))).rejects.toMatchObject({
      code: 102,
      message: `-rules4 only ${ADDRESS} failed; ipam DEL failed`,
    });
    expect(log).toContain('ipam DEL');
  });

  test.each(['absent', 'other'] as const)('without the namespace (%s) works from prevResult', async (state) => {
    vi.mocked(netnsState).mockReturnValue(state);
    await bridge.del(call({ prevResult }));
    expect(log.filter((name) => name !== 'port')).toEqual([
      'delete veth',
      `-rules4 only ${ADDRESS}`,
      `-rules6 only ${ADDRESS}`,
      'ipam DEL',
    ]);
  });

  test('without namespace and prevResult looks for the rules of the container', async () => {
    vi.mocked(netnsState).mockReturnValue('absent');
    await bridge.del(call());
    expect(log).toEqual(['-rules4 allBut', '-rules6 allBut', 'ipam DEL']);
  });

  test("without link and prevResult spares the rules of the container's other interfaces", async () => {
    vi.mocked(deleteContainerLink).mockReturnValue([]);
    await bridge.del(call());
    expect(log).toEqual(['-rules4 allBut 10.2.0.5/24', '-rules6 allBut 10.2.0.5/24', 'ipam DEL']);
  });

  test.each([
    ['another MAC address', link('veth1', { linkinfo: { info_kind: 'veth' }, address: '02:00:00:00:00:77' })],
    ['another kind', link('veth1', { linkinfo: { info_kind: 'dummy' }, address: '02:00:00:00:00:01' })],
    ['none any more', undefined],
  ])('without the namespace does not delete a link of %s', async (_what, seen) => {
    vi.mocked(netnsState).mockReturnValue('absent');
    vi.mocked(showLink).mockReturnValue(seen);
    await bridge.del(call({ prevResult }));
    expect(deleteHostLink).not.toHaveBeenCalled();
  });

  test.each([[[]], [{ cniVersion: '0.2.0' }], ['text']])('goes on with a torn prevResult: %j', async (torn) => {
    await bridge.del(call({ prevResult: torn }));
    expect(log.at(-1)).toBe('ipam DEL');
  });
});

describe('STATUS', () => {
  test('asks the IPAM plugin', async () => {
    await bridge.status(fakeCall(config, { verb: 'STATUS' }));
    expect(log).toEqual(['ipam STATUS']);
  });
  test.each([
    ['ip', {}, 'cannot find ip'],
    ['iptables-restore', { ipMasq: true }, 'cannot find iptables-restore'],
    ['iptables-save', { ipMasq: true }, 'cannot find iptables-save'],
  ])('says when %s is missing', async (tool, keys, message) => {
    vi.mocked(findTool).mockImplementation((name) => (name === tool ? undefined : '/sbin/x'));
    const status = bridge.status(fakeCall({ ...keys }, { verb: 'STATUS' }));
    await expect(status).rejects.toMatchObject({ code: 50, message });
  });
  test('does not ask for iptables without ipMasq', async () => {
    vi.mocked(findTool).mockImplementation((name) => (name === 'ip' ? '/sbin/ip' : undefined));
    await expect(bridge.status(fakeCall({}, { verb: 'STATUS' }))).resolves.toBeUndefined();
  });
});

test('GC asks the IPAM plugin', async () => {
  await bridge.gc(fakeCall(config, { verb: 'GC' }));
  expect(log).toEqual(['ipam GC']);
});
