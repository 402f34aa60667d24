/** The order in which an attachment is built, undone and taken away, with everything outside replaced by a log. */

import { writeFileSync } from 'node:fs';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { deleteHostLink, deleteLink } from '../../../../lib/attachment/host-link.ts';
import { readRecord, recordName } from '../../../../lib/attachment/record.ts';
import { storeAt } from '../../../../lib/attachment/store.ts';
import { delegate } from '../../../../lib/cni/delegate.ts';
import { CniError } from '../../../../lib/cni/errors.ts';
import { findTool } from '../../../../lib/exec.ts';
import { runAndShow, runBatch } from '../../../../lib/iproute2/batch.ts';
import { showLink } from '../../../../lib/iproute2/show.ts';
import { announceMac, isRunning } from '../../../../lib/linux/libc.ts';
import { linkNames } from '../../../../lib/linux/links.ts';
import { netnsState, openNetns } from '../../../../lib/linux/netns.ts';
import { writeSysctl } from '../../../../lib/linux/sysctl.ts';
import { formatCidr } from '../../../../lib/net/ip.ts';
import { addSpoofCheck, removeSpoofChecks } from '../../../../lib/nft/mac-spoof.ts';
import { bridge } from '../../../../plugins/bridge/bridge.ts';
import { ensureBridge } from '../../../../plugins/bridge/bridge-link.ts';
import { deleteContainerLink } from '../../../../plugins/bridge/container-link.ts';
import { type Addresses, masquerades } from '../../../../plugins/bridge/masquerade.ts';
import { joinVlans } from '../../../../plugins/bridge/vlan-port.ts';
import { temporaryFolder } from '../../ipam/host-local/support.ts';
import { fakeCall } from '../../lib/cni/fake-call.ts';
import { cidr, link } from './fixtures.ts';

vi.mock(import('../../../../lib/cni/delegate.ts'), async (original) => ({ ...(await original()), delegate: vi.fn() }));
vi.mock(import('../../../../lib/exec.ts'), async (original) => ({ ...(await original()), findTool: vi.fn() }));
vi.mock(import('../../../../lib/iproute2/batch.ts'), async (original) => ({
  ...(await original()),
  runBatch: vi.fn(),
  runAndShow: vi.fn(),
}));
vi.mock(import('../../../../lib/iproute2/show.ts'), async (original) => ({ ...(await original()), showLink: vi.fn() }));
// Not on the links of the machine that runs the tests.
vi.mock(import('../../../../lib/linux/libc.ts'), async (original) => ({
  ...(await original()),
  announceMac: vi.fn(),
  isRunning: vi.fn(),
}));
vi.mock(import('../../../../lib/linux/links.ts'), () => ({ linkNames: vi.fn(), parseLinkNames: vi.fn() }));
vi.mock(import('../../../../lib/linux/netns.ts'), () => ({
  netnsState: vi.fn(),
  openNetns: vi.fn(),
  isOwnNetns: vi.fn(),
  ownCookie: vi.fn(() => '7'),
  cookieAt: vi.fn(() => '7'),
}));
vi.mock(import('../../../../lib/attachment/host-link.ts'), () => ({ deleteHostLink: vi.fn(), deleteLink: vi.fn() }));
vi.mock(import('../../../../lib/linux/sysctl.ts'), async (original) => ({
  ...(await original()),
  writeSysctl: vi.fn(),
}));
vi.mock(import('../../../../plugins/bridge/bridge-link.ts'), async (original) => ({
  ...(await original()),
  ensureBridge: vi.fn(),
}));
vi.mock(import('../../../../lib/nft/mac-spoof.ts'), async (original) => ({
  ...(await original()),
  addSpoofCheck: vi.fn(),
  removeSpoofChecks: vi.fn(),
}));
vi.mock(import('../../../../plugins/bridge/vlan-port.ts'), async (original) => ({
  ...(await original()),
  joinVlans: vi.fn(),
}));
vi.mock(import('../../../../plugins/bridge/first-use.ts'), () => ({ warnAtFirstUse: vi.fn() }));
vi.mock(import('../../../../plugins/bridge/container-link.ts'), async (original) => ({
  ...(await original()),
  allAddresses: vi.fn(() => [cidr('10.2.0.5/24')]),
  deleteContainerLink: vi.fn(),
}));
vi.mock(import('../../../../lib/firewall/choice.ts'), async (original) => ({
  ...(await original()),
  chooseBackend: vi.fn((configured) => configured ?? { backend: 'iptables' as const, why: '' }),
  backendsInUse: vi.fn((...hints) => ['iptables' as const, ...hints.filter((hint) => hint !== undefined)]),
}));
vi.mock(import('../../../../plugins/bridge/masquerade.ts'), () => {
  const none = () => ({
    add: vi.fn(),
    remove: vi.fn(),
    adding: vi.fn(),
    removing: vi.fn(),
    missing: vi.fn(),
    removeUnlisted: vi.fn(),
  });
  return { masquerades: { iptables: none(), nftables: none(), sets: none() } };
});

/** What happened, in order. */
let log: string[] = [];
/** The steps that fail. */
let failing: ReadonlySet<string> = new Set();

function step(name: string): void {
  log.push(name);
  if (failing.has(name)) throw new CniError(102, `${name} failed`);
}

const ADDRESS = '10.1.0.5/24';
let dataDir = '';
const config = { isGateway: true, ipMasq: true, ipam: { type: 'host-local', dataDir: '' } };
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
  dataDir = temporaryFolder();
  config.ipam.dataDir = dataDir;
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
      step(`look at ${name}`);
      return link(name, { linkinfo: { info_kind: 'veth' }, address: '02:00:00:00:00:01' });
    });
  vi.mocked(isRunning)
    .mockReset()
    .mockImplementation(() => {
      step('port');
      return true;
    });
  vi.mocked(runAndShow)
    .mockReset()
    .mockImplementation(([, first]) => {
      step(`${first?.[0]} ${first?.[1]}`);
      return [[link('cni0')]];
    });
  vi.mocked(runBatch)
    .mockReset()
    .mockImplementation(([first]) => {
      if (first !== undefined) step(`${first[0]} ${first[1]}`);
    });
  vi.mocked(writeSysctl)
    .mockReset()
    .mockImplementation((name) => {
      if (name === 'net/ipv4/ip_forward') step('forwarding');
      return true;
    });
  vi.mocked(ensureBridge)
    .mockReset()
    .mockImplementation(async () => {
      step('bridge');
      return { mac: '02:00:00:00:00:0b', gateway: undefined };
    });
  vi.mocked(joinVlans)
    .mockReset()
    .mockImplementation(() => step('VLANs'));
  vi.mocked(addSpoofCheck)
    .mockReset()
    .mockImplementation(() => step('spoof check'));
  vi.mocked(removeSpoofChecks)
    .mockReset()
    .mockImplementation((spoofers) => {
      for (const { containerId } of spoofers) step(`-spoof check ${containerId}`);
    });
  vi.mocked(announceMac)
    .mockReset()
    .mockImplementation(() => step('announcement'));
  vi.mocked(deleteLink)
    .mockReset()
    .mockImplementation((name) => step(`delete ${name.slice(0, 4)}`));
  vi.mocked(deleteHostLink).mockReset();
  vi.mocked(deleteContainerLink)
    .mockReset()
    .mockImplementation((name) => {
      step(`delete ${name}`);
      return [cidr(ADDRESS)];
    });
  for (const [name, prefix] of [
    ['iptables', ''],
    ['nftables', 'nft '],
  ] as const) {
    vi.mocked(masquerades[name].add)
      .mockReset()
      .mockImplementation(async () => step(`${prefix}rules`));
    vi.mocked(masquerades[name].remove)
      .mockReset()
      .mockImplementation(async (_owner, addresses) => step(`-${prefix}rules ${texts(addresses)}`));
  }
  vi.mocked(delegate)
    .mockReset()
    .mockImplementation(async (_call, { verb }) => {
      step(`ipam ${verb}`);
      return { interfaces: [], ips: [{ address: ADDRESS }], routes: [], dns: {} };
    });
});

describe('ADD', () => {
  const steps = ['ipam ADD', 'link add', 'bridge', 'rules', 'addr add', 'forwarding', 'port', 'announcement'];

  test('builds from the address to the port', async () => {
    const result = await bridge.add(fakeCall(config));
    expect(log).toEqual(steps);
    expect(result.ips).toEqual([{ address: ADDRESS, gateway: '10.1.0.1', interface: 2 }]);
  });

  const noRules = [`-rules only ${ADDRESS}`];
  test.each([
    ['ipam ADD', []],
    ['link add', ['delete veth', 'ipam DEL']],
    ['bridge', ['delete veth', 'ipam DEL']],
    // Beside the container's side.
    ['rules', ['addr add', 'forwarding', ...noRules, 'delete veth', 'ipam DEL']],
    ['addr add', [...noRules, 'delete veth', 'ipam DEL']],
    ['forwarding', [...noRules, 'delete veth', 'ipam DEL']],
    ['port', [...noRules, 'delete veth', 'ipam DEL']],
    ['announcement', [...noRules, 'delete veth', 'ipam DEL']],
  ])('that fails at "%s" undoes what it did, in reverse', async (name, undone) => {
    failing = new Set([name]);
    await expect(bridge.add(fakeCall(config))).rejects.toMatchObject({ code: 102, message: `${name} failed` });
    // A refused batch is sent again after a look at the bridge.
    const again = name === 'link add' ? ['bridge', 'link add'] : [];
    expect(log).toEqual([...steps.slice(0, steps.indexOf(name) + 1), ...again, ...undone]);
  });

  const gateway = { name: 'cni0.5', mac: '02:00:00:00:00:0c', port: 'veth9', isNew: true };
  test.each([
    ['VLANs', ['delete cni0', 'delete veth']],
    ['addr add', [...noRules, 'delete veth']],
  ])('takes a VLAN gateway that it made back only before that has its VLAN: "%s" fails', async (name, undone) => {
    vi.mocked(ensureBridge).mockResolvedValue({ mac: '02:00:00:00:00:0b', gateway });
    failing = new Set([name]);
    await expect(bridge.add(fakeCall({ ...config, vlan: 5 }))).rejects.toThrow(`${name} failed`);
    expect(log.slice(log.indexOf(name) + 1)).toEqual([...undone, 'ipam DEL']);
  });

  test('writes rules against spoofed MAC addresses before the container is up, and takes them back', async () => {
    failing = new Set(['addr add']);
    const keys = { ...config, macspoofchk: true };
    await expect(bridge.add(fakeCall(keys))).rejects.toThrow('addr add failed');
    expect(log).toEqual([
      'ipam ADD',
      'link add',
      'bridge',
      'spoof check',
      'rules',
      'addr add',
      ...noRules,
      '-spoof check c1',
      'delete veth',
      'ipam DEL',
    ]);
  });

  test('leaves the link of the container down where that is asked for, and waits for no port', async () => {
    await bridge.add(fakeCall({ disableContainerInterface: true, ipam: { dataDir } }));
    expect(log).toEqual(['link add', 'bridge']);
  });

  test('touches nothing when the container has an interface of this name', async () => {
    vi.mocked(linkNames).mockReturnValue(new Set(['lo', 'eth0']));
    await expect(bridge.add(fakeCall(config))).rejects.toMatchObject({
      code: 101,
      message: 'container veth name ("eth0") already exists in /run/netns/pod',
    });
    expect(log).toEqual([]);
  });

  test('leaves a record of what it built, and none when it fails', async () => {
    await bridge.add(fakeCall(config));
    expect(recorded()).toMatchObject({
      record: {
        state: 'added',
        plugin: 'bridge',
        addresses: [ADDRESS],
        hostLink: { name: expect.stringMatching(/^veth/) },
        netnsPath: '/run/netns/pod',
        hostNetns: '7',
        containerNetns: '7',
      },
    });
    failing = new Set(['port']);
    await expect(bridge.add(fakeCall(config))).rejects.toThrow('port failed');
    expect(recorded()).toBe('none');
  });

  test.each([
    ['v4', [ADDRESS]],
    ['v6', []],
    [true, [ADDRESS]],
  ])('masquerades the family that is asked for: %s', async (ipMasq, masqueraded) => {
    await bridge.add(fakeCall({ ...config, ipMasq }));
    const calls = vi.mocked(masquerades.iptables.add).mock.calls;
    expect(calls.flatMap(([, addresses]) => addresses).map(formatCidr)).toEqual(masqueraded);
    for (const [owner, , isKnown] of calls) {
      expect(owner).toEqual({ network: 'mynet', containerId: 'c1', ifname: 'eth0' });
      expect(isKnown).toBe(false);
    }
  });

  test('a second ADD of an attachment looks for rules of the first', async () => {
    await bridge.add(fakeCall(config));
    await bridge.add(fakeCall(config));
    expect(vi.mocked(masquerades.iptables.add).mock.calls.map(([, , isKnown]) => isKnown)).toEqual([false, true]);
  });

  test('asks a layer 2 bridge for links only', async () => {
    await bridge.add(fakeCall({ ipam: { dataDir } }));
    expect(log).toEqual(['link add', 'bridge', 'link set', 'port']);
  });
});

function recorded(containerId = 'c1') {
  const store = storeAt({ dataDir, network: 'mynet' }, () => {});
  return readRecord(store, recordName({ containerId, ifname: 'eth0' }));
}

describe('DEL', () => {
  const call = (keys: object = {}, containerId = 'c1') =>
    fakeCall({ ...config, ...keys }, { verb: 'DEL', containerId });
  const rules = [`-rules only ${ADDRESS}`];
  const hasOwnLink = () => vi.mocked(linkNames).mockReturnValue(new Set(['lo', 'eth0', 'veth1']));
  const shown = (address: string) =>
    vi.mocked(showLink).mockImplementation((name) => link(name, { linkinfo: { info_kind: 'veth' }, address }));

  test('takes rules and the recorded host end beside each other, then the lease, then the record', async () => {
    await bridge.add(fakeCall(config));
    const read = recorded();
    const name = typeof read === 'string' ? '' : (read.record.hostLink?.name ?? '');
    vi.mocked(linkNames).mockReturnValue(new Set(['lo', name]));
    log = [];
    await bridge.del(call());
    expect(log).toEqual([...rules, 'delete veth', 'ipam DEL']);
    expect(deleteLink).toHaveBeenCalledWith(name, []);
    expect(recorded()).toBe('none');
  });

  test('lets the bridge and the gateways of its VLANs forget the addresses with the link', async () => {
    vi.mocked(linkNames).mockReturnValue(new Set(['lo', 'veth1', 'cni0', 'cni0.5', 'cni0.x', 'cni1']));
    await bridge.del(call({ prevResult }, 'c20'));
    expect(deleteLink).toHaveBeenCalledWith('veth1', [
      ['neigh', 'flush', 'to', '10.1.0.5', 'dev', 'cni0'],
      ['neigh', 'flush', 'to', '10.1.0.5', 'dev', 'cni0.5'],
    ]);
  });

  test.each([
    ['configuration', { macspoofchk: true }, 'c22'],
    ['record alone', {}, 'c23'],
  ])('takes rules against spoofed MAC addresses away that the %s knows of, once', async (_what, keys, containerId) => {
    await bridge.add(fakeCall({ ...config, macspoofchk: true }, { containerId }));
    log = [];
    for (const _ of ['once', 'again']) await bridge.del(call(keys, containerId));
    expect(log.filter((name) => name.startsWith('-spoof'))).toEqual([`-spoof check ${containerId}`]);
  });

  test('without nft leaves them with a word', async () => {
    vi.mocked(findTool).mockReturnValue(undefined);
    await bridge.del(call({ macspoofchk: true, ipMasq: false }, 'c24'));
    expect(log).toContain('ipam DEL');
    expect(log.filter((name) => name.startsWith('-spoof'))).toEqual([]);
  });

  test('leaves the gateway of a VLAN alone, which prevResult names as well', async () => {
    const interfaces = [...prevResult.interfaces, { name: 'cni0.5', mac: '02:00:00:00:00:01' }];
    vi.mocked(linkNames).mockReturnValue(new Set(['lo', 'cni0', 'cni0.5']));
    await bridge.del(call({ prevResult: { ...prevResult, interfaces } }, 'c21'));
    expect(deleteLink).not.toHaveBeenCalled();
  });

  test('keeps the record when a step failed', async () => {
    await bridge.add(fakeCall(config));
    failing = new Set(['ipam DEL']);
    await expect(bridge.del(call())).rejects.toThrow('ipam DEL failed');
    expect(recorded()).toMatchObject({ record: { state: 'added' } });
  });

  test('needs no look at the rules a second time', async () => {
    await bridge.add(fakeCall(config));
    await bridge.del(call({ prevResult }));
    vi.mocked(linkNames).mockReturnValue(new Set(['lo']));
    log = [];
    await bridge.del(call({}));
    expect(log).toEqual(['ipam DEL']);
    log = [];
    // Somebody who does not know of that may have added it again.
    await bridge.del(call({ prevResult }));
    expect(log).toEqual(['-rules only 10.1.0.5/24', 'ipam DEL']);
  });

  test('without a record takes rules and the host end of prevResult, then the lease', async () => {
    await bridge.del(call({ prevResult }, 'c2'));
    expect(log).toEqual([...rules, 'look at cni0', 'look at veth1', 'delete veth', 'ipam DEL']);
  });

  test('takes the container end that has the MAC address of prevResult', async () => {
    hasOwnLink();
    shown('02:00:00:00:00:02');
    await bridge.del(call({ prevResult }, 'c3'));
    expect(log).toEqual([...rules, 'delete eth0', 'ipam DEL']);
  });

  test('takes rules of addresses that only the container knew of', async () => {
    hasOwnLink();
    shown('02:00:00:00:00:02');
    vi.mocked(deleteContainerLink).mockReturnValue([cidr(ADDRESS), cidr('10.1.0.6/24')]);
    await bridge.del(call({ prevResult }, 'c17'));
    expect(log).toEqual([...rules, '-rules only 10.1.0.6/24', 'ipam DEL']);
  });

  test('leaves the link of another pod at its path alone', async () => {
    hasOwnLink();
    shown('02:00:00:00:00:77');
    await bridge.del(call({ prevResult }, 'c4'));
    expect(log).toEqual([...rules, 'ipam DEL']);
  });

  test('with neither record nor prevResult takes the link of the name', async () => {
    hasOwnLink();
    await bridge.del(call({}, 'c5'));
    expect(log).toEqual(['delete eth0', ...rules, 'ipam DEL']);
  });

  test("with neither of them leaves the link that another's record names", async () => {
    await bridge.add(fakeCall(config, { containerId: 'living' }));
    hasOwnLink();
    log = [];
    await bridge.del(call({}, 'c6'));
    expect(log.filter((step) => step.startsWith('delete'))).toEqual([]);
  });

  test('takes the rules from where the record says they are, whatever the configuration says now', async () => {
    await bridge.add(fakeCall({ ...config, ipMasqBackend: 'nftables' }, { containerId: 'c15' }));
    vi.mocked(linkNames).mockReturnValue(new Set(['lo']));
    expect(recorded('c15')).toMatchObject({ record: { firewall: 'nftables' } });
    log = [];
    await bridge.del(call({ ipMasq: false }, 'c15'));
    expect(log).toEqual([`-nft rules only ${ADDRESS}`, 'ipam DEL']);
  });

  test('without a record looks into every firewall that may hold rules', async () => {
    await bridge.del(call({ prevResult, ipMasqBackend: 'nftables' }, 'c16'));
    expect(log.slice(0, 2)).toEqual([...rules, `-nft rules only ${ADDRESS}`]);
  });

  test('leaves rules alone where there are none', async () => {
    await bridge.del(call({ ipMasq: false, prevResult }, 'c7'));
    expect(log).toEqual(['look at cni0', 'look at veth1', 'delete veth', 'ipam DEL']);
  });

  test('keeps the lease while the link stays, but takes the rules', async () => {
    failing = new Set(['delete veth']);
    await expect(bridge.del(call({ prevResult }, 'c8'))).rejects.toThrow('delete veth failed');
    expect(log.filter((name) => name.startsWith('ipam'))).toEqual([]);
    expect(log.some((name) => name.startsWith('-rules'))).toBe(true);
  });

  test('tries every step and tells of every failure', async () => {
    failing = new Set([`-rules only ${ADDRESS}`, 'ipam DEL']);
    await expect(bridge.del(call({ prevResult }, 'c9'))).rejects.toMatchObject({
      code: 102,
      message: `-rules only ${ADDRESS} failed; ipam DEL failed`,
    });
    expect(log).toContain('ipam DEL');
  });

  test.each(['absent', 'other'] as const)('without the namespace (%s) works from prevResult', async (state) => {
    vi.mocked(netnsState).mockReturnValue(state);
    await bridge.del(call({ prevResult }, `c10-${state}`));
    expect(log).toEqual([...rules, 'look at cni0', 'look at veth1', 'delete veth', 'ipam DEL']);
  });

  test('without namespace and prevResult looks for the rules of the container', async () => {
    vi.mocked(netnsState).mockReturnValue('absent');
    await bridge.del(call({}, 'c11'));
    expect(log).toEqual(['-rules allBut', 'ipam DEL']);
  });

  test("without link and prevResult spares the rules of the container's other interfaces", async () => {
    await bridge.del(call({}, 'c12'));
    expect(log).toEqual(['-rules allBut 10.2.0.5/24', 'ipam DEL']);
  });

  test.each([
    ['another MAC address', link('veth1', { linkinfo: { info_kind: 'veth' }, address: '02:00:00:00:00:77' })],
    ['another kind', link('veth1', { linkinfo: { info_kind: 'dummy' }, address: '02:00:00:00:00:01' })],
    ['none any more', undefined],
  ])('without the namespace does not delete a link of %s', async (_what, seen) => {
    vi.mocked(netnsState).mockReturnValue('absent');
    vi.mocked(showLink).mockReturnValue(seen);
    await bridge.del(call({ prevResult }, 'c13'));
    expect(deleteLink).not.toHaveBeenCalled();
    expect(deleteHostLink).not.toHaveBeenCalled();
  });

  test.each([[[]], [{ cniVersion: '0.2.0' }], ['text']])('goes on with a torn prevResult: %j', async (torn) => {
    await bridge.del(call({ prevResult: torn }, 'c14'));
    expect(log.at(-1)).toBe('ipam DEL');
  });
});

describe('STATUS', () => {
  test('asks the IPAM plugin', async () => {
    const path = temporaryFolder();
    writeFileSync(`${path}/host-local`, '');
    await bridge.status(fakeCall(config, { verb: 'STATUS', path: [path] }));
    expect(log).toEqual(['ipam STATUS']);
  });
  test('says with code 50 that the IPAM plugin is missing', async () => {
    const status = bridge.status(fakeCall(config, { verb: 'STATUS' }));
    await expect(status).rejects.toMatchObject({ code: 50, message: expect.stringContaining('"host-local"') });
  });
  test.each([
    ['ip', {}, 'cannot find ip'],
    ['iptables-restore', { ipMasqBackend: 'iptables' }, 'cannot write firewall rules: iptables-restore not found'],
    ['iptables-save', { ipMasqBackend: 'iptables' }, 'cannot write firewall rules: iptables-save not found'],
    ['nft', { ipMasqBackend: 'nftables' }, 'cannot write firewall rules: nft not found'],
    ['nft', { ruleLayout: 'sets' }, 'cannot write firewall rules: nft not found'],
  ])('says when %s is missing', async (tool, keys, message) => {
    vi.mocked(findTool).mockImplementation((name) => (name === tool ? undefined : '/sbin/x'));
    const status = bridge.status(fakeCall({ ...config, ...keys }, { verb: 'STATUS' }));
    await expect(status).rejects.toMatchObject({ code: 50, message });
  });
  test('needs one of the firewalls, and says so', async () => {
    vi.mocked(findTool).mockImplementation((name) => (name === 'ip' ? '/sbin/ip' : undefined));
    await expect(bridge.status(fakeCall(config, { verb: 'STATUS' }))).rejects.toMatchObject({
      code: 50,
      message: 'cannot write firewall rules: neither iptables nor nftables can be used',
      details: 'install the package iptables or nftables',
    });
  });
  test('does not ask for iptables without ipMasq', async () => {
    vi.mocked(findTool).mockImplementation((name) => (name === 'ip' ? '/sbin/ip' : undefined));
    await expect(bridge.status(fakeCall({}, { verb: 'STATUS' }))).resolves.toBeUndefined();
  });
});

describe('GC', () => {
  const call = (keys: object) => fakeCall({ ...config, ipMasq: false, ...keys }, { verb: 'GC' });

  test('asks the IPAM plugin', async () => {
    await bridge.gc(call({ 'cni.dev/valid-attachments': null }));
    expect(log).toEqual(['ipam GC']);
  });
  test('touches nothing without the list', async () => {
    await expect(bridge.gc(call({}))).rejects.toMatchObject({ code: 7 });
    expect(log).toEqual([]);
  });
});
