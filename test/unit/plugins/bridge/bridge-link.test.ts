/** The bridge: made, put right or refused, by what is there already. */

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { code } from '../../../../lib/cni/errors.ts';
import { ToolError } from '../../../../lib/exec.ts';
import { renderBatch, runBatch } from '../../../../lib/iproute2/batch.ts';
import { type LinkInfo, showLinks } from '../../../../lib/iproute2/show.ts';
import { linkNames } from '../../../../lib/linux/links.ts';
import { writeSysctl } from '../../../../lib/linux/sysctl.ts';
import { ensureBridge, isAsAsked, planBridge, vlanGatewayName } from '../../../../plugins/bridge/bridge-link.ts';
import { cidr, configured, link, names } from './fixtures.ts';

vi.mock(import('../../../../lib/iproute2/batch.ts'), async (original) => ({
  ...(await original()),
  runBatch: vi.fn(),
}));
vi.mock(import('../../../../lib/iproute2/show.ts'), async (original) => ({
  ...(await original()),
  showLinks: vi.fn(),
}));
vi.mock(import('../../../../lib/linux/links.ts'), () => ({ linkNames: vi.fn(), parseLinkNames: vi.fn() }));
vi.mock(import('../../../../lib/linux/sysctl.ts'), async (original) => ({
  ...(await original()),
  writeSysctl: vi.fn(),
}));

interface Found {
  readonly gateway?: LinkInfo;
  readonly ports?: readonly string[];
}

function planned(keys: object, texts: readonly string[], bridge?: LinkInfo, { gateway, ports }: Found = {}) {
  const config = configured(keys);
  const gateways = texts.map(cidr);
  const plan = planBridge({
    config,
    gateways,
    seen: { bridge, gateway },
    names: vlanGatewayName(config, gateways) === undefined ? { ...names, gateway: undefined } : names,
    ports,
  });
  return { ...plan, batch: renderBatch(plan.commands).trim().split('\n') };
}

function plan(keys: object, gateways: readonly string[], seen?: LinkInfo) {
  const { made, batch } = planned(keys, gateways, seen);
  return { mac: made.mac, batch };
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

describe('planBridge() with VLANs', () => {
  const flat = link('cni0', { linkinfo: { info_kind: 'bridge', info_data: { vlan_filtering: 0 } } });
  const filtering = link('cni0', { mtu: 1400, linkinfo: { info_kind: 'bridge', info_data: { vlan_filtering: 1 } } });

  test.each([
    ['vlan', { vlan: 5 }],
    ['vlanTrunk', { vlanTrunk: [{ id: 5 }] }],
    ['an empty vlanTrunk', { vlanTrunk: [] }],
  ])('makes a bridge that filters, for %s', (_what, keys) => {
    expect(plan(keys, []).batch).toEqual([
      'link add name cni0 address 02:00:00:00:00:aa type bridge vlan_filtering 1',
      'link set dev cni0 up',
    ]);
  });

  test('gives the addresses to the gateway of the VLAN, one end of a pair', () => {
    const { made, batch } = planned({ isGateway: true, vlan: 5, mtu: 1450 }, ['10.1.0.1/24', 'fd00::1/64']);
    expect(made).toEqual({
      mac: '02:00:00:00:00:aa',
      gateway: { name: 'cni0.5', mac: '02:00:00:00:00:bb', port: 'vetha0b0c0d0', isNew: true },
    });
    expect(batch).toEqual([
      'link add name cni0 address 02:00:00:00:00:aa mtu 1450 type bridge vlan_filtering 1',
      'link set dev cni0 up',
      'link add name vetha0b0c0d0 address 02:00:00:00:00:cc mtu 1450 txqueuelen 0 master cni0 up type veth peer name cni0.5 address 02:00:00:00:00:bb mtu 1450',
      'addr add fe80::0:ff:fe00:bb/64 nodad dev cni0.5',
      'link set dev cni0.5 up',
      'addr add 10.1.0.1/24 broadcast + dev cni0.5',
      'addr add fd00::1/64 nodad dev cni0.5',
    ]);
  });

  test('gives the pair the MTU that the bridge has', () => {
    const { batch } = planned({ isGateway: true, vlan: 5 }, ['10.1.0.1/24'], filtering);
    expect(batch[0]).toMatch(/mtu 1400 .*peer name cni0\.5 .*mtu 1400$/);
  });

  test('finds the gateway there, and its port', () => {
    const gateway = link('cni0.5', {
      link: 'veth7',
      linkinfo: { info_kind: 'veth' },
      address: '02:00:00:00:00:77',
      addresses: ['10.1.0.1/24'],
    });
    const { made, batch } = planned({ isGateway: true, vlan: 5 }, ['10.1.0.1/24'], filtering, { gateway });
    expect(made.gateway).toEqual({ name: 'cni0.5', mac: '02:00:00:00:00:77', port: 'veth7', isNew: false });
    expect(batch).toEqual(['']);
  });

  test('takes an interface of that name which is no pair as it is', () => {
    const gateway = link('cni0.5', { link: 'cni0', linkinfo: { info_kind: 'vlan' } });
    const { made, batch } = planned({ isGateway: true, vlan: 5 }, ['10.1.0.1/24'], filtering, { gateway });
    expect(made.gateway?.port).toBeUndefined();
    expect(batch).toEqual([
      'link set dev cni0.5 address 02:00:00:00:00:09',
      'addr add 10.1.0.1/24 broadcast + dev cni0.5',
    ]);
  });

  test('needs no gateway of the VLAN where nobody is gateway', () => {
    expect(planned({ vlan: 5 }, [], filtering).made.gateway).toBeUndefined();
  });

  test('lets an idle bridge filter, and says of another one that it does not', () => {
    const idle = planned({ vlan: 5 }, [], flat, { ports: [] });
    expect(idle.batch).toEqual(['link set dev cni0 type bridge vlan_filtering 1']);
    expect(idle.warnings).toEqual([]);
    const living = planned({ vlan: 5 }, [], flat, { ports: ['veth1'] });
    expect(living.batch).toEqual(['']);
    expect(living.warnings).toEqual([
      'bridge cni0 does not filter VLANs, they keep nothing apart; run "ip link set dev cni0 type bridge vlan_filtering 1"',
    ]);
  });
});

describe('planBridge() of a bridge that no longer fits', () => {
  const there = link('cni0', { addresses: ['10.9.0.1/24', 'fd09::1/64', 'fe80::1/64'] });

  test.each([
    ['IPv4', ['10.1.0.1/24'], ['addr del 10.9.0.1/24 dev cni0', 'addr add 10.1.0.1/24 broadcast + dev cni0']],
    ['IPv6', ['fd01::1/64'], ['addr del fd09::1/64 dev cni0', 'addr add fd01::1/64 nodad dev cni0']],
    [
      'dual stack',
      ['10.1.0.1/24', 'fd01::1/64'],
      [
        'addr del 10.9.0.1/24 dev cni0',
        'addr add 10.1.0.1/24 broadcast + dev cni0',
        'addr del fd09::1/64 dev cni0',
        'addr add fd01::1/64 nodad dev cni0',
      ],
    ],
  ])('replaces the address of %s where no living port hangs on it', (_what, gateways, lines) => {
    const { batch, warnings } = planned({}, gateways, there, { ports: [] });
    expect(batch).toEqual(['link set dev cni0 address 02:00:00:00:00:09', ...lines]);
    expect(warnings).toHaveLength(gateways.length);
  });

  test('keeps an IPv6 address of another network beside living ports', () => {
    const { batch } = planned({}, ['fd01::1/64'], there, { ports: ['veth1'] });
    expect(batch).not.toContain('addr del fd09::1/64 dev cni0');
  });

  test('names old and new address, living ports and the fix', () => {
    expect(() => planned({}, ['10.1.0.1/24'], there, { ports: ['veth1', 'veth2'] })).toThrow(
      expect.objectContaining({
        code: code.conflict,
        message: '"cni0" already has an IP address different from 10.1.0.1/24',
        details: expect.stringMatching(
          /^it has 10\.9\.0\.1\/24, and living ports: veth1, veth2; .*"forceAddress": true/,
        ),
      }),
    );
  });

  test('sets the MTU of an idle bridge, and tells of another one with both numbers', () => {
    expect(planned({ mtu: 1400 }, [], link('cni0'), { ports: [] })).toMatchObject({
      batch: ['link set dev cni0 mtu 1400'],
      warnings: [],
    });
    expect(planned({ mtu: 1400 }, [], link('cni0'), { ports: ['veth1'] })).toMatchObject({
      batch: [''],
      warnings: ['mtu of bridge cni0 is 1500, config says 1400; run "ip link set dev cni0 mtu 1400"'],
    });
  });
});

describe('isAsAsked() is false where something depends on who is on the bridge', () => {
  const asked = (keys: object, gateways: readonly string[], bridge?: LinkInfo) =>
    isAsAsked({ config: configured(keys), gateways: gateways.map(cidr), seen: { bridge, gateway: undefined } });
  const there = link('cni0', { addresses: ['10.9.0.1/24', 'fe80::1/64'] });
  test.each([
    ['no bridge', {}, ['10.1.0.1/24'], undefined, true],
    ['all there', {}, ['10.9.0.1/24'], there, true],
    ['one of two there', {}, ['10.9.0.1/24', '10.1.0.1/24'], there, true],
    ['another family', {}, ['fd01::1/64'], there, true],
    ['another address', {}, ['10.1.0.1/24'], there, false],
    ['another address, by force', { forceAddress: true }, ['10.1.0.1/24'], there, true],
    ['another MTU', { mtu: 1400 }, ['10.9.0.1/24'], there, false],
    ['the same MTU', { mtu: 1500 }, ['10.9.0.1/24'], there, true],
  ])('%s', (_what, keys, gateways, bridge, expected) => {
    expect(asked(keys, gateways, bridge)).toBe(expected);
  });
});

describe('ensureBridge()', () => {
  const show = vi.mocked(showLinks);
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
  const warn = vi.fn();
  const livingPorts = vi.fn<() => string[]>();
  const makeExclusive = vi.fn(async () => {});
  const ensure = (keys: object, ...gateways: string[]) =>
    ensureBridge(configured(keys), gateways.map(cidr), { livingPorts, makeExclusive, warn });

  beforeEach(() => {
    vi.resetAllMocks();
    show.mockReturnValue([]);
    livingPorts.mockReturnValue([]);
    vi.mocked(linkNames).mockReturnValue(new Set());
  });

  function sent(): string[] {
    return send.mock.calls.map(([commands]) => renderBatch(commands));
  }

  test('refuses router advertisements on a bridge that it made, and only there', async () => {
    const { mac } = await ensure({});
    expect(sent()).toEqual([`link add name cni0 address ${mac} type bridge\nlink set dev cni0 up\n`]);
    expect(sysctl.mock.calls).toEqual([['net/ipv6/conf/cni0/accept_ra', '0']]);
    sysctl.mockClear();
    show.mockReturnValue([link('cni0')]);
    expect(await ensure({})).toEqual({ mac: '02:00:00:00:00:09', gateway: undefined });
    expect(sysctl).not.toHaveBeenCalled();
    expect(livingPorts).not.toHaveBeenCalled();
  });

  test('does so on the port of a VLAN gateway that it made', async () => {
    show.mockReturnValue([link('cni0')]);
    const { gateway } = await ensure({ isGateway: true, vlan: 5 }, '10.1.0.1/24');
    expect(gateway).toMatchObject({ name: 'cni0.5', isNew: true });
    expect(sysctl.mock.calls).toEqual([[`net/ipv6/conf/${gateway?.port}/accept_ra`, '0']]);
  });

  test('does without that where /proc/sys is read-only', async () => {
    sysctl.mockImplementation(refuse);
    await expect(ensure({})).resolves.toBeDefined();
  });

  test('looks again when another ADD made the bridge meanwhile', async () => {
    show.mockReturnValueOnce([]).mockReturnValue([link('cni0', { addresses: ['10.1.0.1/24'] })]);
    send.mockImplementationOnce(refuse);
    expect(await ensure({ isGateway: true }, '10.1.0.1/24')).toMatchObject({ mac: '02:00:00:00:00:09' });
    expect(send).toHaveBeenCalledTimes(2);
    expect(sent()[1]).toBe('');
    expect(sysctl).toHaveBeenCalledTimes(1);
  });

  test('gives up when nothing changed, however the timers of the bridge run', async () => {
    let timer = 0;
    show.mockImplementation(() => {
      timer += 1;
      const data = { gc_timer: timer };
      return [{ ...link('cni0', { flags: [] }), linkinfo: { info_kind: 'bridge', info_data: data } } as LinkInfo];
    });
    send.mockImplementation(refuse);
    await expect(ensure({})).rejects.toThrow(failure);
    expect(send).toHaveBeenCalledTimes(1);
  });

  test('gives up after twenty changes', async () => {
    let index = 0;
    show.mockImplementation(() => {
      index += 1;
      return [link('cni0', { ifindex: index, flags: [] })];
    });
    send.mockImplementation(refuse);
    await expect(ensure({})).rejects.toThrow(failure);
    expect(send).toHaveBeenCalledTimes(20);
  });

  test('heals an idle bridge alone, by a second look, and says so', async () => {
    show.mockReturnValue([link('cni0', { addresses: ['10.9.0.1/24'] })]);
    makeExclusive.mockImplementation(async () => {
      expect(send).not.toHaveBeenCalled();
    });
    await ensure({ isGateway: true }, '10.1.0.1/24');
    expect(makeExclusive).toHaveBeenCalledTimes(1);
    expect(show).toHaveBeenCalledTimes(2);
    expect(livingPorts).toHaveBeenCalledTimes(2);
    expect(warn.mock.calls).toEqual([
      ['"cni0" had 10.9.0.1/24, now it has 10.1.0.1/24: no living port hangs on the bridge'],
    ]);
  });

  test('leaves a bridge alone that somebody joined meanwhile', async () => {
    show.mockReturnValue([link('cni0', { addresses: ['10.9.0.1/24'] })]);
    livingPorts.mockReturnValueOnce([]).mockReturnValue(['veth9']);
    await expect(ensure({ isGateway: true }, '10.1.0.1/24')).rejects.toMatchObject({ code: code.conflict });
    expect(send).not.toHaveBeenCalled();
  });

  test('says what is missing where the kernel has no VLANs', async () => {
    send.mockImplementation(() => {
      throw new ToolError(
        'ip',
        { exitCode: 2, stderr: 'RTNETLINK answers: Operation not supported\n', stdout: '' },
        '',
      );
    });
    await expect(ensure({ vlan: 5 })).rejects.toMatchObject({
      code: code.toolFailed,
      message: 'cannot use VLANs on bridge "cni0": this kernel cannot filter them',
      details: expect.stringContaining('CONFIG_BRIDGE_VLAN_FILTERING'),
    });
    await expect(ensure({})).rejects.toMatchObject({ message: expect.stringContaining('Operation not supported') });
  });
});
