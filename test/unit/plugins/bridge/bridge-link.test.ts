/** The bridge: made, put right or refused, by what is there already. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { code } from '../../../../lib/cni/errors.ts';
import { ToolError } from '../../../../lib/exec.ts';
import { renderBatch, runBatch } from '../../../../lib/iproute2/batch.ts';
import { type LinkInfo, showLink } from '../../../../lib/iproute2/show.ts';
import { writeSysctl } from '../../../../lib/linux/sysctl.ts';
import { formatCidr } from '../../../../lib/net/ip.ts';
import { bridgeAddresses, ensureBridge, planBridge } from '../../../../plugins/bridge/bridge-link.ts';
import { cidr, configured, link } from './fixtures.ts';

vi.mock(import('../../../../lib/iproute2/batch.ts'), async (original) => ({
  ...(await original()),
  runBatch: vi.fn(),
}));
vi.mock(import('../../../../lib/iproute2/show.ts'), async (original) => ({ ...(await original()), showLink: vi.fn() }));
vi.mock(import('../../../../lib/linux/sysctl.ts'), async (original) => ({
  ...(await original()),
  writeSysctl: vi.fn(),
}));

function plan(keys: object, gateways: readonly string[], seen?: LinkInfo) {
  const { commands, mac } = planBridge({
    config: configured(keys),
    gateways: gateways.map(cidr),
    seen,
    newMac: '02:00:00:00:00:aa',
  });
  return { mac, batch: renderBatch(commands).trim().split('\n') };
}

describe('planBridge()', () => {
  test('makes a new bridge with an address of its own', () => {
    expect(plan({ isGateway: true, mtu: 1450 }, ['10.1.0.1/24', 'fd00::1/64'])).toEqual({
      mac: '02:00:00:00:00:aa',
      batch: [
        'link add name cni0 address 02:00:00:00:00:aa mtu 1450 type bridge',
        'addr add fe80::0:ff:fe00:aa/64 nodad dev cni0',
        'link set dev cni0 up',
        'addr add 10.1.0.1/24 broadcast + dev cni0',
        'addr add fd00::1/64 nodad dev cni0',
      ],
    });
  });

  test.each([
    ['layer 2', {}, [], ['link set dev br1 up']],
    ['promiscuous', { promiscMode: true }, [], ['link set dev br1 promisc on', 'link set dev br1 up']],
    ['a gateway in a /31', {}, ['10.1.0.1/31'], ['link set dev br1 up', 'addr add 10.1.0.1/31 dev br1']],
  ])('makes a new one for %s', (_what, keys, gateways, rest) => {
    expect(plan({ bridge: 'br1', ...keys }, gateways).batch).toEqual([
      'link add name br1 address 02:00:00:00:00:aa type bridge',
      ...rest,
    ]);
  });

  const there = (addresses: string[], over: Partial<LinkInfo> = {}) => link('cni0', { addresses, ...over });

  test.each([
    ['has nothing to do when all is there', {}, ['10.1.0.1/24'], there(['10.1.0.1/24', 'fe80::1/64']), ['']],
    ['has nothing to do for layer 2', {}, [], there([]), ['']],
    ['brings an existing one up', {}, [], there([], { flags: [] }), ['link set dev cni0 up']],
    ['leaves promiscuous mode on', {}, [], there([], { flags: ['UP', 'PROMISC'] }), ['']],
    ['turns promiscuous mode on', { promiscMode: true }, [], there([]), ['link set dev cni0 promisc on']],
    ['keeps promiscuous mode', { promiscMode: true }, [], there([], { flags: ['UP', 'PROMISC'] }), ['']],
    [
      'adds an address and pins the MAC address',
      {},
      ['10.1.0.1/24'],
      there(['fd00::1/64']),
      ['link set dev cni0 address 02:00:00:00:00:09', 'addr add 10.1.0.1/24 broadcast + dev cni0'],
    ],
    [
      'adds an IPv6 address beside another network',
      {},
      ['fd00:1::1/64'],
      there(['fd00::1/64', 'fe80::1/64']),
      ['link set dev cni0 address 02:00:00:00:00:09', 'addr add fd00:1::1/64 nodad dev cni0'],
    ],
    [
      'settles the link-local address of one that waits for its first port',
      {},
      ['fd00::1/64'],
      there(['fd00::1/64']),
      ['addr add fe80::0:ff:fe00:9/64 nodad dev cni0'],
    ],
    [
      'does not mind link-local addresses',
      {},
      ['fd00::1/64'],
      there(['fe80::1/64']),
      ['link set dev cni0 address 02:00:00:00:00:09', 'addr add fd00::1/64 nodad dev cni0'],
    ],
    [
      'adds two gateways of one attachment',
      {},
      ['10.1.0.1/24', '10.2.0.1/24'],
      there(['10.1.0.1/24']),
      ['link set dev cni0 address 02:00:00:00:00:09', 'addr add 10.2.0.1/24 broadcast + dev cni0'],
    ],
    ['names a gateway of two addresses once', {}, ['10.1.0.1/24', '10.1.0.1/24'], there(['10.1.0.1/24']), ['']],
    [
      'replaces an address by force',
      { forceAddress: true },
      ['10.1.0.1/24'],
      there(['10.9.0.1/16', 'fd00::1/64']),
      [
        'link set dev cni0 address 02:00:00:00:00:09',
        'addr del 10.9.0.1/16 dev cni0',
        'addr add 10.1.0.1/24 broadcast + dev cni0',
      ],
    ],
    [
      'replaces the same address of another length by force',
      { forceAddress: true },
      ['10.1.0.1/24'],
      there(['10.1.0.1/16']),
      [
        'link set dev cni0 address 02:00:00:00:00:09',
        'addr del 10.1.0.1/16 dev cni0',
        'addr add 10.1.0.1/24 broadcast + dev cni0',
      ],
    ],
    [
      'replaces one address by two, removing it once',
      { forceAddress: true },
      ['10.1.0.1/24', '10.2.0.1/24'],
      there(['10.9.0.1/16']),
      [
        'link set dev cni0 address 02:00:00:00:00:09',
        'addr del 10.9.0.1/16 dev cni0',
        'addr add 10.1.0.1/24 broadcast + dev cni0',
        'addr add 10.2.0.1/24 broadcast + dev cni0',
      ],
    ],
    [
      'replaces only an overlapping IPv6 network by force',
      { forceAddress: true },
      ['fd00::1/64'],
      there(['fd00::9/48', 'fd01::1/64', 'fe80::1/64']),
      [
        'link set dev cni0 address 02:00:00:00:00:09',
        'addr del fd00::9/48 dev cni0',
        'addr add fd00::1/64 nodad dev cni0',
      ],
    ],
  ])('%s', (_what, keys, gateways, seen, batch) => {
    expect(plan(keys, gateways, seen)).toEqual({ mac: '02:00:00:00:00:09', batch });
  });

  test.each([
    ['10.1.0.1/24', ['10.9.0.1/16'], '10.9.0.1/16'],
    ['10.1.0.1/24', ['10.1.0.1/16', 'fd00::1/64'], '10.1.0.1/16'],
    ['fd00::1/64', ['10.1.0.1/24', 'fd00::9/48', 'fd01::1/64'], 'fd00::9/48'],
  ])('refuses %s beside %j', (gateway, addresses, inTheWay) => {
    expect(() => plan({}, [gateway], there(addresses))).toThrow(
      expect.objectContaining({
        code: code.conflict,
        message: `"cni0" already has an IP address different from ${gateway}`,
        details: expect.stringMatching(new RegExp(`^it has ${inTheWay}; .*"forceAddress": true`)),
      }),
    );
  });

  test.each([
    ['a veth', { linkinfo: { info_kind: 'veth' } }, 'it is veth of its own'],
    ['a device', { linkinfo: {} }, 'it is a device of its own'],
  ])('refuses %s of that name', (_what, over, details) => {
    expect(() => plan({ forceAddress: true }, [], there([], over))).toThrow(
      expect.objectContaining({
        code: code.conflict,
        message: 'cannot use "cni0" as bridge: it already exists but is not a bridge',
        details: expect.stringContaining(details),
      }),
    );
  });
});

test('bridgeAddresses() leaves out link-local addresses', () => {
  const addresses = bridgeAddresses(link('cni0', { addresses: ['10.1.0.1/24', 'fe80::1/64', 'fd00::1/64'] }));
  expect(addresses.map(formatCidr)).toEqual(['10.1.0.1/24', 'fd00::1/64']);
  expect(bridgeAddresses(undefined)).toEqual([]);
});

describe('ensureBridge()', () => {
  const show = vi.mocked(showLink);
  const send = vi.mocked(runBatch);
  const sysctl = vi.mocked(writeSysctl);
  const failure = new ToolError(
    'ip',
    { exitCode: 1, stderr: 'RTNETLINK answers: File exists\n', stdout: '' },
    'it failed',
  );
  const refuse = () => {
    throw failure;
  };

  beforeEach(() => {
    for (const mock of [show, send, sysctl]) mock.mockReset();
  });

  function sent(): string[] {
    return send.mock.calls.map(([commands]) => renderBatch(commands));
  }

  test('refuses router advertisements on a bridge that it made, and only there', () => {
    const mac = ensureBridge(configured(), []);
    expect(sent()).toEqual([`link add name cni0 address ${mac} type bridge\nlink set dev cni0 up\n`]);
    expect(sysctl.mock.calls).toEqual([['net/ipv6/conf/cni0/accept_ra', '0']]);
    sysctl.mockClear();
    show.mockReturnValue(link('cni0'));
    expect(ensureBridge(configured(), [])).toBe('02:00:00:00:00:09');
    expect(sysctl).not.toHaveBeenCalled();
  });

  test('does without that where /proc/sys is read-only', () => {
    sysctl.mockImplementation(refuse);
    expect(() => ensureBridge(configured(), [])).not.toThrow();
  });

  test('looks again when another ADD made the bridge meanwhile', () => {
    const theirs = link('cni0', { addresses: ['10.1.0.1/24'] });
    show.mockReturnValueOnce(undefined).mockReturnValue(theirs);
    send.mockImplementationOnce(refuse);
    expect(ensureBridge(configured({ isGateway: true }), [cidr('10.1.0.1/24')])).toBe('02:00:00:00:00:09');
    expect(send).toHaveBeenCalledTimes(2);
    expect(sent()[1]).toBe('');
    expect(sysctl).toHaveBeenCalledTimes(1);
  });

  test('gives up when nothing changed, however the timers of the bridge run', () => {
    let timer = 0;
    show.mockImplementation(() => {
      timer += 1;
      const data = { gc_timer: timer };
      return { ...link('cni0', { flags: [] }), linkinfo: { info_kind: 'bridge', info_data: data } } as LinkInfo;
    });
    send.mockImplementation(refuse);
    expect(() => ensureBridge(configured(), [])).toThrow(failure);
    expect(send).toHaveBeenCalledTimes(1);
  });

  test('gives up after twenty changes', () => {
    let index = 0;
    show.mockImplementation(() => {
      index += 1;
      return link('cni0', { ifindex: index, flags: [] });
    });
    send.mockImplementation(refuse);
    expect(() => ensureBridge(configured(), [])).toThrow(failure);
    expect(send).toHaveBeenCalledTimes(20);
  });
});
