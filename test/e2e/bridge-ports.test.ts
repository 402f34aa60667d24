/** What a bridge port may do: send under its own MAC address only, reach no other isolated port, stay in its VLAN. */

import { beforeAll, describe, expect, it } from 'vitest';
import { type Attached, attach, detach, firstStdin } from '../support/attach.ts';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import { kernelCan, skipForKernel } from '../support/kernel.ts';
import { type Conflist, type Family, type JsonObject, network, subnets } from '../support/networks.ts';
import { callPlugin, ours, reference, startPlugin, succeed } from '../support/plugins.ts';
import { exec, until } from '../support/process.ts';
import { withoutRandom } from '../support/snapshot.ts';
import { breakTools } from '../support/tools.ts';
import { createWorld, type Namespace, type World } from '../support/world.ts';

const PORT = 80;
const FAMILIES: readonly Family[] = [4, 6];

function dual(world: World, bridge: JsonObject, name = 'testnet'): Conflist {
  return network(world, { name, subnets: [subnets[4], subnets[6]], bridge: { ipMasq: false, ...bridge } });
}

async function join(world: World, conflist: Conflist, containerId: string, bin = ours): Promise<Attached> {
  const pod = await world.pod();
  const attached = await attach(world, conflist, { containerId, pod, bin });
  await pod.agent.listen(containerId, PORT);
  return attached;
}

function addressOf({ result }: Attached, family: Family): string {
  const { ips } = result as { ips: { address: string }[] };
  return ips.find(({ address }) => address.includes(':') === (family === 6))?.address.replace(/\/.*/, '') ?? '';
}

async function reaches(from: Namespace, to: Attached, family: Family): Promise<boolean> {
  const question = { protocol: 'udp', host: addressOf(to, family), port: PORT, timeoutMs: 400 } as const;
  return from.agent.ask(question).then(
    ({ name }) => name === to.containerId,
    () => false,
  );
}

function check(world: World, conflist: Conflist, { containerId, pod, result }: Attached, bin = ours) {
  const config = { ...firstStdin(conflist), prevResult: result };
  return callPlugin(world, { plugin: 'bridge', command: 'CHECK', containerId, pod, config, bin });
}

async function nft(world: World, ...args: string[]): Promise<string> {
  return (await exec(world.node.enter(['/usr/sbin/nft', ...args]))).stdout;
}

describe('macspoofchk', () => {
  const spoofed = '02:00:00:00:00:66';
  const isSpoofing = (world: World) => nft(world, 'list', 'table', 'bridge', 'nat');

  it('drops what comes under another MAC address, in both families, and lets the own one through', async () => {
    await using world = await createWorld();
    const conflist = dual(world, { macspoofchk: true });
    const [one, two] = [await join(world, conflist, 'one'), await join(world, conflist, 'two')];
    for (const family of FAMILIES) expect(await reaches(one.pod, two, family)).toBe(true);
    const { mac } = (one.result as { interfaces: { mac: string }[] }).interfaces[2] ?? { mac: '' };
    await one.pod.run('ip', 'link', 'set', 'eth0', 'address', spoofed);
    for (const family of FAMILIES) expect(await reaches(one.pod, two, family)).toBe(false);
    await one.pod.run('ip', 'link', 'set', 'eth0', 'address', mac);
    for (const family of FAMILIES) {
      await until('traffic', async () => ((await reaches(one.pod, two, family)) ? true : undefined));
    }
  });

  it('leaves the rules that the reference leaves', async () => {
    const rulesets: string[] = [];
    for (const bin of [reference, ours]) {
      await using world = await createWorld();
      await join(world, dual(world, { macspoofchk: true }), 'one', bin);
      rulesets.push(withoutRandom(await isSpoofing(world)).replace(/(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/g, 'mac'));
    }
    expect(rulesets[0]).toContain('cni-br-iface-one-eth0-mac');
    expect(rulesets[1]).toBe(rulesets[0]);
  });

  it.each([
    { from: 'the reference', to: 'us', added: reference, deleted: ours },
    { from: 'us', to: 'the reference', added: ours, deleted: reference },
  ])('CHECK and DEL go from $from to $to', async ({ added, deleted }) => {
    await using world = await createWorld();
    const conflist = dual(world, { macspoofchk: true });
    const one = await join(world, conflist, 'one', added);
    await succeed(check(world, conflist, one, deleted));
    await detach(world, conflist, { containerId: 'one', netns: one.pod.path, prevResult: one.result, bin: deleted });
    expect(await isSpoofing(world)).not.toContain('cni-br-iface');
  });

  it('is gone after a DEL without the namespace, and a second DEL minds nothing', async () => {
    await using world = await createWorld();
    const conflist = dual(world, { macspoofchk: true });
    await join(world, conflist, 'one');
    for (const _ of ['once', 'again']) await detach(world, conflist, { containerId: 'one' });
    expect(await isSpoofing(world)).not.toContain('cni-br-iface');
  });

  it('is there once after an ADD that was killed and tried again, and CHECK sees each rule that goes', async () => {
    await using world = await createWorld();
    const conflist = dual(world, { macspoofchk: true });
    const pod = await world.pod();
    await killAt(world, conflist, { containerId: 'one', pod, tool: 'iptables-restore' });
    const one = await attach(world, conflist, { containerId: 'one', pod });
    const jumps = (await isSpoofing(world)).match(/iifname/g);
    expect(jumps).toHaveLength(1);
    await succeed(check(world, conflist, one));
    for (const chain of ['PREROUTING', 'cni-br-iface-one-eth0', 'cni-br-iface-one-eth0-mac']) {
      const before = await nft(world, 'list', 'ruleset');
      await world.node.run('/usr/sbin/nft', 'flush', 'chain', 'bridge', 'nat', chain);
      const { exitCode, said, json } = await check(world, conflist, one);
      expect(exitCode, said).toBe(1);
      expect(json).toMatchObject({ code: 103, msg: expect.stringContaining('spoofed MAC addresses') });
      await must(world, before);
    }
    await succeed(check(world, conflist, one));
  });

  it('goes by GC when its port went without a DEL, and nobody else’s goes with it', async () => {
    await using world = await createWorld();
    const conflist = dual(world, { macspoofchk: true });
    const [dead, living] = [await join(world, conflist, 'dead', reference), await join(world, conflist, 'living')];
    await world.node.run('ip', 'link', 'del', dead.hostLink);
    const valid = [{ containerID: 'living', ifname: 'eth0' }];
    const config = { ...firstStdin(conflist), 'cni.dev/valid-attachments': valid };
    await succeed(callPlugin(world, { plugin: 'bridge', command: 'GC', config, env: { CNI_CONTAINERID: '' } }));
    const rules = await isSpoofing(world);
    expect(rules).not.toContain('cni-br-iface-dead');
    expect(rules.match(/cni-br-iface-living-eth0-mac/g)).toHaveLength(2);
    await succeed(check(world, conflist, living));
  });

  async function must(world: World, ruleset: string): Promise<void> {
    await world.node.run('/usr/sbin/nft', 'flush', 'ruleset');
    await exec(world.node.enter(['/usr/sbin/nft', '-f', '-']), { input: ruleset });
  }
});

interface Killing {
  readonly containerId: string;
  readonly pod: Namespace;
  /** At whose first call the ADD is killed. */
  readonly tool: string;
}

async function killAt(world: World, conflist: Conflist, { containerId, pod, tool }: Killing): Promise<void> {
  const masquerading = { ...firstStdin(conflist), ipMasq: true };
  const broken = breakTools(world, { fault: 'hang', call: 1, tools: [tool] });
  const call = { plugin: 'bridge', command: 'ADD', containerId, pod, config: masquerading, wrap: broken.wrap };
  const { child, ended } = startPlugin(world, call);
  await until(`a call of ${tool}`, async () => (broken.fired() ? true : undefined), 20_000);
  // With the tool, which holds the record's lock like any child of an ADD.
  if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  await ended.catch(() => undefined);
}

it('an eth0 that a killed ADD left in the container is taken away by the next ADD', async () => {
  await using world = await createWorld();
  const conflist = dual(world, {});
  const pod = await world.pod();
  const before = await dump(world);
  await killAt(world, conflist, { containerId: 'one', pod, tool: 'iptables-restore' });
  expect(await pod.ip<{ ifname: string }>('link', 'show', 'dev', 'eth0')).toHaveLength(1);
  const one = await attach(world, conflist, { containerId: 'one', pod });
  const ports = await world.node.ip<{ ifname?: string }>('link', 'show', 'master', 'cni0');
  expect(ports.map(({ ifname }) => ifname)).toEqual([one.hostLink]);
  await detach(world, conflist, { containerId: 'one', netns: pod.path });
  expect(await changesSince(world, before)).toEqual(NO_CHANGES);
});

describe('portIsolation', () => {
  it('keeps isolated ports apart; each reaches the bridge and a port that is not isolated', async () => {
    await using world = await createWorld();
    const isolated = dual(world, { portIsolation: true });
    const [one, two] = [await join(world, isolated, 'one'), await join(world, isolated, 'two')];
    const open = await join(world, dual(world, {}), 'open');
    for (const family of FAMILIES) {
      expect(await reaches(one.pod, two, family)).toBe(false);
      expect(await reaches(two.pod, one, family)).toBe(false);
      expect(await reaches(one.pod, open, family)).toBe(true);
      expect(await reaches(open.pod, one, family)).toBe(true);
      expect(await reaches(world.node, one, family)).toBe(true);
    }
    await succeed(check(world, isolated, one));
    await world.node.run('bridge', 'link', 'set', 'dev', one.hostLink, 'isolated', 'off');
    const { json } = await check(world, isolated, one);
    expect(json).toMatchObject({ code: 103, msg: `isolated mode of ${one.hostLink} is off, expected on` });
  });

  it('is the flag that the reference sets, with hairpin beside it', async () => {
    const flags: unknown[] = [];
    for (const bin of [reference, ours]) {
      await using world = await createWorld();
      const bridge = { portIsolation: true, hairpinMode: true };
      const { hostLink } = await join(world, dual(world, bridge), 'one', bin);
      const [port] = await world.node.ip<{ linkinfo: { info_slave_data: JsonObject } }>('link', 'show', hostLink);
      const { hairpin, isolated } = port?.linkinfo.info_slave_data ?? {};
      flags.push({ hairpin, isolated });
    }
    expect(flags).toEqual([1, 2].map(() => ({ hairpin: true, isolated: true })));
  });
});

describe('enabledad', () => {
  const only6 = (world: World, bridge: JsonObject) =>
    network(world, { subnets: [subnets[6]], bridge: { ipMasq: false, ...bridge } });

  it('waits until the address may be used', async () => {
    await using world = await createWorld();
    const { pod } = await attach(world, only6(world, { enabledad: true }), {
      containerId: 'one',
      pod: await world.pod(),
    });
    expect(await pod.run('ip', '-6', 'address', 'show', 'tentative', 'scope', 'global')).toBe('');
    const dad = await pod.run('cat', '/proc/sys/net/ipv6/conf/eth0/accept_dad');
    expect(dad.trim()).toBe('1');
  });

  it('refuses an address that another host has, and leaves nothing', async () => {
    await using world = await createWorld();
    const conflist = only6(world, { enabledad: true });
    const other = await attach(world, conflist, { containerId: 'other', pod: await world.pod() });
    await other.pod.run('ip', 'address', 'add', 'fd00:7::3/64', 'dev', 'eth0', 'nodad');
    const pod = await world.pod();
    const before = await dump(world);
    const config = firstStdin(conflist);
    const ended = await callPlugin(world, { plugin: 'bridge', command: 'ADD', containerId: 'one', pod, config });
    expect(ended.json, ended.said).toMatchObject({
      code: 101,
      msg: expect.stringMatching(/^link eth0 has address fd00:0?007:.*:0?003 in DADFAILED state$/),
    });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});

describe('disableContainerInterface', () => {
  const layer2 = { ipam: {}, isDefaultGateway: false, ipMasq: false, disableContainerInterface: true };

  it('leaves the interface down, as the reference does; CHECK and DEL agree', async () => {
    for (const bin of [reference, ours]) {
      await using world = await createWorld();
      const conflist = network(world, { bridge: layer2 });
      const pod = await world.pod();
      const before = await dump(world);
      const config = firstStdin(conflist);
      const added = await succeed(callPlugin(world, { plugin: 'bridge', command: 'ADD', pod, config, bin }));
      const [link] = await pod.ip<{ flags: string[] }>('link', 'show', 'eth0');
      expect(link?.flags).not.toContain('UP');
      const withResult = { ...config, prevResult: added.json };
      await succeed(callPlugin(world, { plugin: 'bridge', command: 'CHECK', pod, config: withResult }));
      await succeed(callPlugin(world, { plugin: 'bridge', command: 'DEL', pod, config: withResult }));
      expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    }
  });
});

describe('VLANs', () => {
  let hasVlans = false;

  beforeAll(async () => {
    hasVlans = await kernelCan(['ip', 'link', 'add', 'probe', 'type', 'bridge', 'vlan_filtering', '1']);
  });

  it('keep containers apart and give each VLAN a gateway of its own, as the reference does', async (context) => {
    skipForKernel(context, !hasVlans, 'kernel cannot: it has no CONFIG_BRIDGE_VLAN_FILTERING');
    await using world = await createWorld();
    const red = dual(world, { vlan: 5 });
    const blue = network(world, { name: 'blue', subnets: ['10.8.0.0/24'], bridge: { vlan: 6, ipMasq: false } });
    const [one, two] = [await join(world, red, 'one'), await join(world, red, 'two', reference)];
    const other = await join(world, blue, 'other');
    for (const family of FAMILIES) {
      expect(await reaches(one.pod, two, family)).toBe(true);
      expect(await reaches(world.node, one, family)).toBe(true);
      expect(await reaches(world.node, two, family)).toBe(true);
    }
    await other.pod.run('ip', 'route', 'add', '10.7.0.0/24', 'dev', 'eth0');
    expect(await reaches(other.pod, one, 4)).toBe(false);
    const vlans = JSON.parse(await world.node.run('bridge', '-json', 'vlan', 'show')) as {
      ifname: string;
      vlans: JsonObject[];
    }[];
    const of = (name: string) => vlans.find(({ ifname }) => ifname === name)?.vlans;
    expect(of(one.hostLink)).toEqual([{ vlan: 5, flags: ['PVID', 'Egress Untagged'] }]);
    expect(of(two.hostLink)).toEqual(of(one.hostLink));
    for (const attached of [one, two]) await succeed(check(world, red, attached));
    await world.node.run('bridge', 'vlan', 'del', 'dev', one.hostLink, 'vid', '5');
    expect((await check(world, red, one)).json).toMatchObject({ code: 103, msg: expect.stringContaining('VLAN 5') });
    for (const { containerId, pod, result } of [one, two]) {
      await detach(world, red, { containerId, netns: pod.path, prevResult: result });
    }
    expect(await world.node.ip('link', 'show', 'cni0.5')).toHaveLength(1);
  });

  it.for([
    { what: 'with no bridge yet', first: true },
    { what: 'on a bridge that is there', first: false },
  ])('are refused plainly where the kernel has none, and nothing is left: $what', async ({ first }, context) => {
    skipForKernel(context, hasVlans, 'kernel can: it has CONFIG_BRIDGE_VLAN_FILTERING');
    await using world = await createWorld();
    if (!first) await attach(world, dual(world, {}), { containerId: 'other', pod: await world.pod() });
    const pod = await world.pod();
    const before = await dump(world);
    const config = firstStdin(dual(world, { vlan: 5 }));
    const ended = await callPlugin(world, { plugin: 'bridge', command: 'ADD', pod, config });
    expect(ended.json, ended.said).toMatchObject({
      code: 102,
      msg: 'cannot use VLANs on bridge "cni0": this kernel cannot filter them',
      details: expect.stringContaining('CONFIG_BRIDGE_VLAN_FILTERING'),
    });
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});
