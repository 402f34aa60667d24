/** Damaged state and a file system that refuses: no verb crashes, hangs or follows a link, and who lives keeps all. */

import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type Attached,
  addBridge,
  attach,
  collectGarbage,
  detach,
  firstStdin,
  gcPlugin,
  inLanes,
  killPods,
  manyPods,
  statusOf,
  validKeys,
} from '../../support/attach.ts';
import { dump, NO_CHANGES } from '../../support/dump.ts';
import { holders, isReachable, leftSince, linkGone, recordFolder, recordOf } from '../../support/lease-state.ts';
import { type Conflist, network } from '../../support/networks.ts';
import { callPlugin, chain, type PluginCall, type PluginEnded, succeed } from '../../support/plugins.ts';
import { type Command, must } from '../../support/process.ts';
import { createWorld, type World } from '../../support/world.ts';

/** Five addresses: whoever is not believed to live loses his. */
const SUBNET = '10.44.7.0/29';
const SIZE = 5;
const MAX_MS = 10_000;

const SECRET = '/etc/passwd';

const damages: { readonly how: string; readonly spoil: (path: string) => void }[] = [
  { how: '0 bytes', spoil: (path) => replace(path, '') },
  { how: 'NULs', spoil: (path) => replace(path, Buffer.alloc(32)) },
  { how: 'cut short', spoil: (path) => replace(path, readFileSync(path).subarray(0, 3)) },
  { how: 'binary', spoil: (path) => replace(path, Buffer.from(Array.from({ length: 256 }, (_, byte) => 255 - byte))) },
  { how: '1 MB', spoil: (path) => replace(path, 'x'.repeat(1 << 20)) },
  { how: 'a folder', spoil: (path) => makeFolder(path) },
  { how: 'mode 000', spoil: (path) => chmodSync(path, 0) },
  { how: 'a link to a file of others', spoil: (path) => link(path, SECRET) },
  { how: 'a link to nowhere', spoil: (path) => link(path, '/nonexistent/file') },
];

/** In place: a runtime or a power cut does not make a new file of it. */
function replace(path: string, content: string | Buffer): void {
  writeFileSync(path, content);
}

function makeFolder(path: string): void {
  rmSync(path);
  mkdirSync(path);
  writeFileSync(`${path}/file`, 'x');
}

function link(path: string, target: string): void {
  rmSync(path);
  symlinkSync(target, path);
}

const files: { readonly what: string; readonly pathOf: (world: World, one: Attached) => string }[] = [
  { what: 'lease', pathOf: (world, { address }) => `${world.dataDir}/testnet/${address}` },
  { what: 'record', pathOf: (world, { containerId }) => recordOf(world, containerId) },
  { what: 'last_reserved_ip', pathOf: (world) => `${world.dataDir}/testnet/last_reserved_ip.0` },
  { what: 'index of leases', pathOf: (world) => `${recordFolder(world)}/owners` },
  { what: 'result cache', pathOf: (_, { containerId }) => `/var/lib/cni/results/testnet-${containerId}-eth0` },
];

describe.each(files)('a damaged $what', ({ what, pathOf }) => {
  it.each(damages)('($how) harms nobody', async ({ spoil }) => {
    await using world = await createWorld();
    const conflist = network(world, { subnets: [SUBNET] });
    const [victim, ...others] = await attachAll(world, conflist);
    if (victim === undefined) throw new Error('nobody is attached');
    if (what === 'result cache') cacheResult(victim);
    const secret = secretState();
    const path = pathOf(world, victim);
    spoil(path);
    await callAll(world, conflist, victim);
    // The range is full of the living: whoever comes gets nothing, whatever the damage says.
    await expectRefused(world, conflist);
    await expectKept(world, others);
    expect(await isReachable(world, victim.address)).toBe(true);
    await makeRoom(world, conflist, { victim, others });
    expect(secretState()).toEqual(secret);
  });
});

async function attachAll(world: World, conflist: Conflist): Promise<Attached[]> {
  const pods = await manyPods(world, SIZE);
  return inLanes([...pods.entries()], 2, ([index, pod]) => attach(world, conflist, { containerId: `c${index}`, pod }));
}

/** As libcni writes it. */
function cacheResult({ containerId, pod, result }: Attached): void {
  mkdirSync('/var/lib/cni/results', { recursive: true });
  const cached = { kind: 'cniCacheV1', containerId, ifName: 'eth0', networkName: 'testnet', netns: pod.path, result };
  writeFileSync(`/var/lib/cni/results/testnet-${containerId}-eth0`, JSON.stringify(cached));
}

function secretState(): unknown[] {
  const { ino, size, mode, mtimeMs, ctimeMs } = statSync(SECRET);
  return [ino, size, mode, mtimeMs, ctimeMs];
}

/** Every verb that leaves the victim in place. */
async function callAll(world: World, conflist: Conflist, victim: Attached): Promise<void> {
  const config = firstStdin(conflist);
  const own = { containerId: victim.containerId, pod: victim.pod, timeoutMs: MAX_MS };
  const checked = { ...config, prevResult: victim.result };
  expectOrderly(await callPlugin(world, { plugin: 'bridge', command: 'CHECK', ...own, config: checked }));
  expectOrderly(await callPlugin(world, { plugin: 'bridge', command: 'ADD', ...own, config }));
  expectOrderly(await statusOf(world, config, 'bridge'));
  const everybody = Array.from({ length: SIZE }, (_, index) => ({ containerId: `c${index}`, ifname: 'eth0' }));
  expectOrderly(await gcPlugin(world, config, 'bridge', validKeys(everybody)));
}

/** Ends by itself, in time, with an error object or none, and shows nothing of a file that is not its own. */
function expectOrderly({ signal, exitCode, json, stdout, stderr, said }: PluginEnded): void {
  expect(signal, said).toBe(null);
  if (exitCode !== 0) expect(json, said).toMatchObject({ code: expect.any(Number), msg: expect.stringMatching(/./) });
  expect(json ?? {}, said).not.toMatchObject({ code: 999 });
  expect(stdout + stderr).not.toMatch(/root:x|^ {4}at |node:internal/m);
  expect(stdout.length + stderr.length, 'bytes said').toBeLessThan(20_000);
}

async function expectRefused(world: World, conflist: Conflist): Promise<void> {
  const refused = await addBridge(world, conflist, { containerId: 'press', pod: await world.pod() });
  expectOrderly(refused);
  expect(refused.json, refused.said).toMatchObject({ code: 100 });
}

async function expectKept(world: World, attached: readonly Attached[]): Promise<void> {
  const held = holders(world);
  for (const { address, containerId } of attached) {
    expect(held[address]).toBe(containerId);
    expect(await isReachable(world, address), containerId).toBe(true);
  }
}

/** DEL of another makes room, whatever is damaged; then the victim's own, which may complain but must not hang. */
async function makeRoom(
  world: World,
  conflist: Conflist,
  { victim, others }: { victim: Attached; others: Attached[] },
) {
  const [next, ...rest] = others;
  if (next === undefined) throw new Error('nobody else is attached');
  const { containerId, pod, result } = next;
  await detach(world, conflist, { containerId, netns: pod.path, prevResult: result });
  const fresh = await attach(world, conflist, { containerId: 'fresh', pod: await world.pod() });
  expect(fresh.address).toBe(next.address);
  const del: PluginCall = { plugin: 'bridge', command: 'DEL', containerId: victim.containerId, pod: victim.pod };
  const config = { ...firstStdin(conflist), prevResult: victim.result };
  expectOrderly(await callPlugin(world, { ...del, config, timeoutMs: MAX_MS }));
  await expectKept(world, [...rest, fresh]);
}

describe('garbage', () => {
  // What is cut short may be a lease in the format of old versions, the container's ID alone.
  const garbage = damages.filter(({ how }) => ['0 bytes', 'NULs', 'binary', '1 MB'].includes(how));

  it.each(garbage)('($how) in place of a lease is taken back, and logged', async ({ spoil }) => {
    await using world = await createWorld();
    const conflist = network(world, { subnets: [SUBNET] });
    const before = await dump(world);
    const [victim, ...others] = await attachAll(world, conflist);
    if (victim === undefined) throw new Error('nobody is attached');
    const path = `${world.dataDir}/testnet/${victim.address}`;
    await killPods([victim.pod]);
    await linkGone(world.node, victim.hostLink);
    rmSync(recordOf(world, victim.containerId));
    spoil(path);
    const fresh = await attach(world, conflist, { containerId: 'fresh', pod: await world.pod() });
    expect(fresh.address).toBe(victim.address);
    expect(fresh.log).toContain(victim.address);
    await expectKept(world, [...others, fresh]);
    await collectGarbage(world, conflist, []);
    expect(await leftSince(world, before)).toEqual(NO_CHANGES);
  });
});

interface Refusal {
  readonly what: string;
  /** What the file system's mount is told. */
  readonly options: string;
  /** Brings it into the state that refuses. */
  readonly begin: (folder: string) => Promise<unknown>;
  readonly end: (folder: string) => Promise<unknown>;
  readonly wrap?: (command: Command) => Command;
  readonly names: RegExp;
}

/** Root may write anywhere until these are taken from it. */
const POWERLESS = ['/usr/bin/setpriv', '--bounding-set=-dac_override,-dac_read_search,-fowner'] as const;

const refusals: Refusal[] = [
  {
    what: 'is full (4 KiB)',
    options: 'size=4k',
    begin: (folder) => must(['bash', '-c', 'head -c 2M /dev/zero >"$1/filler" 2>/dev/null || true', 'sh', folder]),
    end: (folder) => must(['bash', '-c', 'rm "$1/filler" && mount -o remount,size=1m "$1"', 'sh', folder]),
    names: /space/i,
  },
  {
    what: 'has no inodes left',
    options: 'size=1m,nr_inodes=8',
    begin: (folder) =>
      must(['bash', '-c', 'n=0; while touch "$1/filler$n" 2>/dev/null; do n=$((n+1)); done', 'sh', folder]),
    end: (folder) => must(['bash', '-c', 'rm "$1"/filler* && mount -o remount,nr_inodes=1000 "$1"', 'sh', folder]),
    names: /space|inode/i,
  },
  {
    what: 'is read-only',
    options: 'size=1m',
    begin: (folder) => must(['mount', '-o', 'remount,ro', folder]),
    end: (folder) => must(['mount', '-o', 'remount,rw', folder]),
    names: /read-only/i,
  },
  {
    what: 'may not be written',
    options: 'size=1m',
    begin: (folder) => must(['bash', '-c', 'find "$1" -type d -exec chmod 555 {} +', 'sh', folder]),
    end: (folder) => must(['bash', '-c', 'find "$1" -type d -exec chmod 755 {} +', 'sh', folder]),
    wrap: (command) => [...POWERLESS, ...command],
    names: /permission/i,
  },
];

describe.each(refusals)('a dataDir that $what', ({ options, begin, end, wrap, names }) => {
  it('lets the first ADD of a network fail clearly, with nothing left, and works again after', async () => {
    await using world = await createWorld();
    await must(['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', world.dataDir]);
    await begin(world.dataDir);
    await expectFailsClean(world, network(world, { subnets: [SUBNET] }));
    await end(world.dataDir);
    await attach(world, network(world, { subnets: [SUBNET] }), { containerId: 'after', pod: await world.pod() });
    expect(Object.values(holders(world))).toEqual(['after']);
  });

  it('lets a later ADD fail clearly, and whoever is attached keeps all', async () => {
    await using world = await createWorld();
    const conflist = network(world, { subnets: [SUBNET] });
    await must(['mount', '-t', 'tmpfs', '-o', 'size=1m,nr_inodes=1000', 'tmpfs', world.dataDir]);
    const one = await attach(world, conflist, { containerId: 'one', pod: await world.pod() });
    const two = await attach(world, conflist, { containerId: 'two', pod: await world.pod() });
    if (options !== 'size=1m') await must(['mount', '-o', `remount,${tightened(options)}`, world.dataDir]);
    await begin(world.dataDir);
    await expectFailsClean(world, conflist);
    await expectKept(world, [one, two]);
    const del = { plugin: 'bridge', command: 'DEL', containerId: 'two', pod: two.pod, timeoutMs: MAX_MS };
    const config = { ...firstStdin(conflist), prevResult: two.result };
    const ended = await callPlugin(world, { ...del, config, ...(wrap === undefined ? {} : { wrap }) });
    expectOrderly(ended);
    // A full disk must not keep pods from ending; where nothing can be changed, it is said and DEL comes again.
    if (options !== 'size=1m') expect(ended.exitCode, ended.said).toBe(0);
    await end(world.dataDir);
    await detach(world, conflist, { containerId: 'two', netns: two.pod.path, prevResult: two.result });
    await expectKept(world, [one]);
    await attach(world, conflist, { containerId: 'after', pod: await world.pod() });
    expect(Object.values(holders(world)).sort()).toEqual(['after', 'one']);
  });

  async function expectFailsClean(world: World, conflist: Conflist): Promise<void> {
    const pod = await world.pod();
    const before = await dump(world);
    const options = { containerId: 'late', pod, ...(wrap === undefined ? {} : { wrap }) };
    const ended = await addBridge(world, conflist, options);
    expectOrderly(ended);
    expect(ended.json, ended.said).toMatchObject({ code: 5 });
    expect(`${ended.json?.msg} ${ended.json?.details}`).toMatch(names);
    expect(await leftSince(world, before), ended.said).toEqual(NO_CHANGES);
  }
});

/** So tight that what is there fills it: a limit cannot be set below what is in use. */
function tightened(options: string): string {
  return options === 'size=4k' ? 'size=64k' : 'nr_inodes=30';
}

it('a dataDir that is full lets CHECK and DEL of a whole chain succeed', async () => {
  await using world = await createWorld();
  const conflist = network(world, { subnets: [SUBNET] });
  await must(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', world.dataDir]);
  const pod = await world.pod();
  await succeed(chain(world, 'add', { conflist, pod }));
  await must(['bash', '-c', 'head -c 2M /dev/zero >"$1/filler" 2>/dev/null || true', 'sh', world.dataDir]);
  await succeed(chain(world, 'check', { conflist, pod }));
  await succeed(chain(world, 'del', { conflist, pod }));
  expect(Object.keys(holders(world))).toEqual([]);
  expect(existsSync(`${world.dataDir}/filler`)).toBe(true);
});
