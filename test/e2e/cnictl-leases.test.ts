/** The operator's side of leases: `cnictl leases`, `gc` and `release` on pods that live and pods that died without DEL. */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Changes, changesSince, type Dump, dump, NO_CHANGES } from '../support/dump.ts';
import { bothProtocols, type Conflist, type JsonObject, network, stackNetwork } from '../support/networks.ts';
import { chain, leases, ours, type PluginEnded, repository, succeed } from '../support/plugins.ts';
import { exec, must, until } from '../support/process.ts';
import { addresses, createWorld, type Namespace, type World } from '../support/world.ts';

const SERVICE = 80;
const RESULTS = '/var/lib/cni/results';
const cnictl = `${ours}/cnictl`;

interface Pod {
  readonly namespace: Namespace;
  readonly containerId: string;
  /** IPv4, then IPv6. */
  readonly addresses: readonly string[];
}

/** An attachment as cnictl's JSON shows it. */
interface Entry {
  readonly addresses: readonly string[];
  readonly containerId: string;
  readonly pod?: JsonObject;
  readonly ifname: string;
  readonly hostPorts: readonly { readonly hostPort: number; readonly protocol: string }[];
  readonly verdict: string;
  readonly why: string;
}

async function attach(world: World, conflist: Conflist, name: string, hostPort: number): Promise<Pod> {
  const namespace = await world.pod();
  const before = Object.keys(leases(world));
  const args = `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${name}`;
  const ports = bothProtocols(hostPort, SERVICE);
  await succeed(chain(world, 'add', { conflist, pod: namespace, ports, args, tool: cnictl }));
  const held = Object.entries(leases(world)).filter(([address]) => !before.includes(address));
  const [containerId = ''] = held[0]?.[1].split('\r\n') ?? [];
  const order = (address: string) => (address.includes(':') ? 1 : 0);
  return {
    namespace,
    containerId,
    addresses: held.map(([address]) => address).sort((one, two) => order(one) - order(two)),
  };
}

/** As a crash of the runtime leaves it: nobody calls DEL. */
async function kill(world: World, { namespace }: Pod): Promise<void> {
  const links = (await world.node.ip('link', 'show', 'type', 'veth')).length;
  namespace[Symbol.dispose]();
  await must(['ip', 'netns', 'delete', namespace.name]);
  await until('the kernel to take the veth away', async () =>
    (await world.node.ip('link', 'show', 'type', 'veth')).length < links ? true : undefined,
  );
}

interface Call {
  /** The node's when absent. */
  readonly inside?: Namespace;
  /** The world's when absent. */
  readonly confDir?: string;
}

/** Runs cnictl as an operator on the node does. */
async function run(world: World, args: readonly string[], call: Call = {}): Promise<PluginEnded> {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', NETCONFPATH: call.confDir ?? `${world.folder}/net.d` };
  const ended = await exec((call.inside ?? world.node).enter([cnictl, ...args]), { env });
  const said = `status ${ended.exitCode ?? ended.signal}\nstdout: ${ended.stdout}\nstderr: ${ended.stderr}`;
  return { ...ended, json: undefined, said };
}

async function runJson<T>(world: World, args: readonly string[], call: Call = {}): Promise<T> {
  const { exitCode, stdout, said } = await run(world, [...args, '--json'], call);
  expect(exitCode, said).toBe(0);
  return JSON.parse(stdout) as T;
}

const results = () => readdirSync(RESULTS).sort();

/** From outside, at a host port: the pod's name, '' for nobody. */
async function answerAt({ outside }: World, port: number): Promise<string> {
  try {
    return (await outside.agent.ask({ protocol: 'tcp', host: addresses.node[4], port, timeoutMs: 500 })).name;
  } catch {
    return '';
  }
}

/** What stays by design is no trace: where host-local goes on, and the stamps and indexes that stand for no attachment. */
async function tracesSince(world: World, before: Dump): Promise<Changes> {
  const { left, lost } = await changesSince(world, before);
  const isKept = (line: string) => /^\/run\/nodecni\/|\/\.nodecni\/[^/]+\/(folder-seen|owners):/.test(line);
  return { left: left.filter((line) => !isKept(line)), lost: lost.filter((line) => !isKept(line)) };
}

/**
 * Where root may not look into process 1, as in some sandboxes, nothing can be shown to be in no namespace. It has none of
 * the test's: covered, it keeps nobody from looking at the others.
 */
async function hideInit(): Promise<AsyncDisposable> {
  const { exitCode } = await exec(['readlink', '/proc/1/ns/net']);
  if (exitCode === 0) return { [Symbol.asyncDispose]: async () => {} };
  await must(['mount', '-t', 'tmpfs', 'tmpfs', '/proc/1']);
  return { [Symbol.asyncDispose]: async () => void (await must(['umount', '/proc/1'])) };
}

interface Story {
  readonly conflist: Conflist;
  readonly alive: Pod;
  readonly dead: Pod;
}

/** Two pods on a dual-stack network with host ports 8080 and 8081; the second one is dead. */
async function createStory(world: World, conflist = stackNetwork(world, [4, 6])): Promise<Story> {
  const alive = await attach(world, conflist, 'alive', 8080);
  await alive.namespace.agent.listen('alive', SERVICE);
  const dead = await attach(world, conflist, 'dead', 8081);
  await kill(world, dead);
  return { conflist, alive, dead };
}

describe('cnictl leases', () => {
  it('tells the living from the dead, and by what', async () => {
    await using world = await createWorld();
    const { alive, dead } = await createStory(world);
    const { leases: entries } = await runJson<{ leases: Entry[] }>(world, ['leases', 'testnet']);
    const byId = new Map(entries.map((entry) => [entry.containerId, entry]));
    expect(entries).toHaveLength(2);
    expect(byId.get(alive.containerId)).toMatchObject({
      ifname: 'eth0',
      pod: { namespace: 'default', name: 'alive' },
      verdict: 'alive',
      why: expect.stringContaining('is there'),
    });
    const found = byId.get(dead.containerId);
    expect(found).toMatchObject({ verdict: 'dead', why: expect.stringContaining('is gone') });
    expect([...(found?.addresses ?? [])].sort()).toEqual([...dead.addresses].sort());
    expect(found?.hostPorts.map(({ hostPort, protocol }) => `${hostPort}/${protocol}`)).toEqual([
      '8081/tcp',
      '8081/udp',
    ]);
  });

  it('is a table for people, also in a pipe, of all networks where none is named', async () => {
    await using world = await createWorld();
    const { alive, dead } = await createStory(world);
    const { exitCode, stdout, said } = await run(world, ['leases']);
    expect(exitCode, said).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(/^ADDRESS +NETWORK +CONTAINER +POD +INTERFACE +HOST PORTS +AGE +STATE +WHY$/);
    expect(lines.find((line) => line.includes(alive.containerId))).toMatch(/ default\/alive +eth0 .* alive +its link /);
    expect(lines.find((line) => line.includes(dead.containerId))).toMatch(/\*:8081 → 80\/tcp.* dead +its link /);
  });

  it('changes nothing and judges nobody from another network namespace', async () => {
    await using world = await createWorld();
    await createStory(world);
    const before = await dump(world);
    const seen = await runJson<{ leases: Entry[] }>(world, ['leases', 'testnet'], { inside: world.outside });
    expect(seen.leases.map(({ verdict }) => verdict)).toEqual(['unknown', 'unknown']);
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});

describe('cnictl gc', () => {
  it('--dry-run says what would go and why, and touches nothing', async () => {
    await using world = await createWorld();
    const { alive, dead } = await createStory(world);
    const before = await dump(world);
    const { exitCode, stdout, said } = await run(world, ['gc', 'testnet', '--dry-run']);
    expect(exitCode, said).toBe(0);
    expect(stdout).toContain(dead.containerId);
    expect(stdout).not.toContain(alive.containerId);
    expect(stdout).toContain(`${RESULTS}/testnet-${dead.containerId}-eth0: its attachment is dead\n`);
    expect(stdout).toContain('would free 1 attachment and 1 cached result, keep 1 (1 alive)\n');
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('frees all that the dead left, and the living never notice', async () => {
    await using world = await createWorld();
    const { alive, dead, conflist } = await createStory(world);
    const { exitCode, stdout, stderr, said } = await run(world, ['gc', 'testnet']);
    expect(exitCode, said).toBe(0);
    expect(stderr).toContain('testnet: freeing 1 dead attachment\n');
    expect(stderr).toMatch(
      new RegExp(`testnet: reclaimed .* of container ${dead.containerId} eth0 .*: its link .* is gone`),
    );
    expect(stdout).toBe('freed 1 attachment and 1 cached result, kept 1 (1 alive)\n');
    expect(Object.keys(leases(world)).sort()).toEqual([...alive.addresses].sort());
    expect(results()).toEqual([`testnet-${alive.containerId}-eth0`]);
    const rules = await world.node.run('iptables-save', '-t', 'nat');
    expect(rules).not.toContain(dead.containerId);
    expect(rules).not.toContain('8081');
    expect(await answerAt(world, 8080)).toBe('alive');
    await succeed(chain(world, 'check', { conflist, pod: alive.namespace, tool: cnictl }));
    const again = await runJson<{ freed: Entry[]; kept: Entry[] }>(world, ['gc', 'testnet']);
    expect(again).toMatchObject({ freed: [], cachedResults: [], kept: [{ containerId: alive.containerId }] });
  });

  it('honours disableGC', async () => {
    await using world = await createWorld();
    const { conflist } = await createStory(world);
    const disabled = { ...conflist, disableGC: true };
    writeFileSync(`${world.folder}/net.d/testnet.conflist`, JSON.stringify(disabled));
    const before = await dump(world);
    const { exitCode, stdout, said } = await run(world, ['gc', 'testnet']);
    expect(exitCode, said).toBe(0);
    expect(stdout).toBe('network testnet has GC disabled\n');
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('frees nothing from another network namespace', async () => {
    await using world = await createWorld();
    await createStory(world);
    const before = await dump(world);
    const { exitCode, stdout, said } = await run(world, ['gc', 'testnet'], { inside: world.outside });
    expect(exitCode, said).toBe(0);
    expect(stdout).toBe('freed 0 attachments and 0 cached results, kept 2 (2 unknown)\n');
    expect(await tracesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('forgets a cached result of which nothing else is left, but not that of a pod that lives', async () => {
    await using world = await createWorld();
    // Every namespace of the machine is looked into: no other has addresses like these.
    const conflist = network(world, { subnets: ['10.213.77.0/24', 'fd00:213:77::/64'], portmap: {} });
    const { alive } = await createStory(world, conflist);
    // Somebody did what used to be the cure.
    rmSync(`${world.dataDir}/testnet`, { recursive: true });
    rmSync(`${world.dataDir}/.nodecni`, { recursive: true });
    await using _ = await hideInit();
    const { exitCode, stdout, said } = await run(world, ['gc', 'testnet']);
    expect(exitCode, said).toBe(0);
    expect(stdout).toBe('freed 0 attachments and 1 cached result, kept 0\n');
    expect(results()).toEqual([`testnet-${alive.containerId}-eth0`]);
  });

  it('reports what it could not free, after freeing the rest', async () => {
    await using world = await createWorld();
    const { dead } = await createStory(world);
    const stuck = `${world.dataDir}/testnet/${dead.addresses[0]}`;
    await must(['mount', '--bind', stuck, stuck]);
    try {
      const { exitCode, stderr, said } = await run(world, ['gc', 'testnet']);
      expect(exitCode, said).toBe(1);
      expect(stderr).toMatch(/^cnictl: cannot .*$/m);
    } finally {
      await must(['umount', stuck]);
    }
    expect(results()).toHaveLength(2);
    await runJson(world, ['gc', 'testnet']);
    expect(results()).toHaveLength(1);
  });
});

describe('cnictl release', () => {
  it('frees a container that lives, and leaves no trace of it', async () => {
    await using world = await createWorld();
    const before = await dump(world);
    const conflist = stackNetwork(world, [4, 6]);
    const pod = await attach(world, conflist, 'web', 8080);
    const { exitCode, stdout, said } = await run(world, ['release', 'testnet', pod.containerId]);
    expect(exitCode, said).toBe(0);
    for (const address of pod.addresses) expect(stdout).toContain(address);
    expect(stdout).toContain('host port *:8080 → 80/tcp');
    expect(stdout).toContain('(pod default/web)');
    expect(stdout).toContain(`released cached result ${RESULTS}/testnet-${pod.containerId}-eth0\n`);
    expect(await pod.namespace.ip('link', 'show', 'type', 'veth')).toEqual([]);
    expect(await tracesSince(world, before)).toEqual(NO_CHANGES);
    const again = await run(world, ['release', 'testnet', pod.containerId]);
    expect(again.exitCode, again.said).toBe(1);
    expect(again.stderr).toContain(`cnictl: nothing is known of container "${pod.containerId}" on network "testnet"\n`);
    expect(again.stderr).toContain('cnictl leases testnet');
  });

  it('of one interface leaves the other', async () => {
    await using world = await createWorld();
    const conflist = stackNetwork(world, [4]);
    const { namespace, containerId } = await attach(world, conflist, 'web', 8080);
    await namespace.agent.listen('web', SERVICE);
    const second = { conflist, pod: namespace, ifname: 'eth1', ports: bothProtocols(8081, SERVICE), tool: cnictl };
    await succeed(chain(world, 'add', second));
    const released = await runJson<{ released: Entry[] }>(world, [
      'release',
      'testnet',
      containerId,
      '--ifname',
      'eth1',
    ]);
    expect(released.released.map(({ ifname }) => ifname)).toEqual(['eth1']);
    expect(Object.values(leases(world))).toEqual([`${containerId}\r\neth0`]);
    expect(results()).toEqual([`testnet-${containerId}-eth0`]);
    expect(await answerAt(world, 8080)).toBe('web');
    expect(await answerAt(world, 8081)).toBe('');
    await succeed(chain(world, 'check', { conflist, pod: namespace, tool: cnictl }));
  });

  it("takes the reference's lease as well", async () => {
    await using world = await createWorld();
    await world.lease('10.7.0.9', 'c9');
    const options = ['--data-dir', world.dataDir];
    const { exitCode, stdout, said } = await run(world, ['release', 'testnet', 'c9', ...options]);
    expect(exitCode, said).toBe(0);
    expect(stdout).toBe('released 10.7.0.9 of c9 eth0\n');
    expect(leases(world)).toEqual({});
  });
});

describe('without a configuration', () => {
  it('leases and release need only the folder, gc says what it lacks', async () => {
    await using world = await createWorld();
    const { dead } = await createStory(world);
    const confDir = `${world.folder}/none`;
    mkdirSync(confDir);
    const options = ['--data-dir', world.dataDir];
    const listed = await runJson<{ leases: Entry[] }>(world, ['leases', 'testnet', ...options], { confDir });
    expect(listed.leases).toHaveLength(2);
    const all = await runJson<{ leases: Entry[] }>(world, ['leases', ...options], { confDir });
    expect(all.leases).toHaveLength(2);
    const gc = await run(world, ['gc', 'testnet', ...options], { confDir });
    expect(gc.exitCode, gc.said).toBe(1);
    expect(gc.stderr).toContain('no net configurations found');
    await runJson(world, ['release', 'testnet', dead.containerId, ...options], { confDir });
    expect(Object.keys(leases(world))).toHaveLength(2);
  });

  it('the default folder will do, and a network that nobody knows is an error', async () => {
    await using world = await createWorld();
    const folder = '/var/lib/cni/networks/testnet';
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${folder}/10.7.0.9`, 'c9\r\neth0');
    const listed = await runJson<{ leases: Entry[] }>(world, ['leases', 'testnet']);
    expect(listed.leases).toMatchObject([{ addresses: ['10.7.0.9'], containerId: 'c9' }]);
    await runJson(world, ['release', 'testnet', 'c9']);
    expect(readdirSync(folder)).not.toContain('10.7.0.9');
    const unknown = await run(world, ['leases', 'elsewhere']);
    expect(unknown.exitCode, unknown.said).toBe(1);
    expect(unknown.stderr).toContain('nothing is known of network "elsewhere"');
  });
});

describe('starting over, as the README says', () => {
  it('is safe to do by its commands, and leaves a network that works', async () => {
    await using world = await createWorld();
    const dataDir = '/var/lib/cni/networks';
    const conflist = stackNetwork(world, [4], { ipam: { dataDir } });
    const pod = await world.pod();
    await succeed(chain(world, 'add', { conflist, pod, tool: cnictl }));
    await must(['ip', 'netns', 'delete', pod.name]);
    writeFileSync(`${dataDir}/testnet/rubbish`, '?');
    const [, script = ''] = /^ *```sh\n( *cd \/var\/lib\/cni\/networks\n[^`]*)```/m.exec(readme()) ?? [];
    expect(script).toContain('flock');
    await must(['bash', '-euc', script.replaceAll('NETWORK', 'testnet')]);
    expect(readdirSync(`${dataDir}/testnet`)).toEqual(['lock']);
    expect(readdirSync(`${dataDir}/.nodecni/testnet`)).toEqual([]);
    const next = await world.pod();
    const { json } = await succeed(chain(world, 'add', { conflist, pod: next, tool: cnictl }));
    expect(json).toMatchObject({ ips: [{ address: '10.7.0.2/24' }] });
  });
});

function readme(): string {
  return readFileSync(`${repository}/README.md`, 'utf8');
}
