/** cnictl beside cnitool: either can undo and check what the other did, and both name things the same. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { changesSince, type Dump, dump, NO_CHANGES } from '../support/dump.ts';
import { bothProtocols, type Conflist, network, subnets } from '../support/networks.ts';
import { chain, leases, ours, type PluginEnded, reference, succeed } from '../support/plugins.ts';
import { type Command, exec } from '../support/process.ts';
import { addresses, createWorld, type Namespace, type World } from '../support/world.ts';

const RESULTS = '/var/lib/cni/results';
const cnictl = `${ours}/cnictl`;
const cnitool = `${reference}/cnitool`;
const ports = bothProtocols(8080, 80);

let world: World;
let pod: Namespace;
let conflist: Conflist;
let before: Dump;

beforeEach(async () => {
  world = await createWorld();
  pod = await world.pod();
  conflist = network(world, { subnets: [subnets[4], subnets[6]], portmap: {} });
  before = await dump(world);
});

afterEach(() => world?.[Symbol.asyncDispose]());

function run(tool: string, verb: 'add' | 'check' | 'del' | 'status'): Promise<PluginEnded & { json: object }> {
  return succeed(chain(world, verb, { conflist, pod, ports, tool }));
}

describe.each([
  { first: 'cnictl', second: 'cnitool', one: cnictl, two: cnitool },
  { first: 'cnitool', second: 'cnictl', one: cnitool, two: cnictl },
  { first: 'cnictl', second: 'cnictl', one: cnictl, two: cnictl },
])('what $first added, $second', ({ one, two }) => {
  it('checks and takes away', async () => {
    const added = await run(one, 'add');
    expect(added.json).toMatchObject({ cniVersion: '1.1.0', ips: [{}, {}] });
    await run(two, 'check');
    await run(two, 'status');
    await run(two, 'del');
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
    await run(one, 'del');
  });
});

it('gives the same container ID and caches the same as cnitool', async () => {
  const files: Record<string, unknown>[] = [];
  for (const tool of [cnictl, cnitool]) {
    await run(tool, 'add');
    const [name = 'none'] = readdirSync(RESULTS);
    const { result, ...rest } = JSON.parse(readFileSync(`${RESULTS}/${name}`, 'utf8')) as Record<string, unknown>;
    files.push({ name, ...rest, ips: (result as { ips: unknown }).ips !== undefined });
    await run(tool, 'del');
    expect(readdirSync(RESULTS)).toEqual([]);
  }
  expect(files[0]).toEqual(files[1]);
});

describe('by flags', () => {
  async function call(...args: string[]): Promise<PluginEnded> {
    // Writes the network's file.
    await chain(world, 'status', { conflist, pod });
    const env = { NETCONFPATH: `${world.folder}/net.d`, CNI_PATH: ours };
    const command: Command = [cnictl, ...args];
    const ended = await exec(world.node.enter(command), { env });
    const said = `${ended.exitCode}\n${ended.stdout}\n${ended.stderr}`;
    return { ...ended, json: undefined, said };
  }

  it('--port, --container-id and --ifname attach as CAP_ARGS and CNI_IFNAME do', async () => {
    const flags = ['--container-id', 'mine', '--ifname', 'net0'];
    const added = await call(
      'add',
      'testnet',
      pod.path,
      '--port',
      '8080:80/tcp',
      '--port',
      '8081:80/udp',
      '--json',
      ...flags,
    );
    expect(added.exitCode, added.said).toBe(0);
    expect(JSON.parse(added.stdout)).toMatchObject({ interfaces: [{}, {}, { name: 'net0', sandbox: pod.path }] });
    expect(Object.values(leases(world))).toEqual(['mine\r\nnet0', 'mine\r\nnet0']);
    expect(existsSync(`${RESULTS}/testnet-mine-net0`)).toBe(true);
    await pod.agent.listen('pod', 80);
    for (const [protocol, port] of [
      ['tcp', 8080],
      ['udp', 8081],
    ] as const) {
      expect(await world.outside.agent.ask({ protocol, host: addresses.node[4], port })).toMatchObject({ name: 'pod' });
    }
    const deleted = await call('del', 'testnet', pod.path, ...flags);
    expect(deleted.exitCode, deleted.said).toBe(0);
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('takes the name of a namespace in place of its path', async () => {
    const added = await call('add', 'testnet', pod.name, '--json');
    expect(added.exitCode, added.said).toBe(0);
    const deleted = await call('del', 'testnet', pod.path);
    expect(deleted.exitCode, deleted.said).toBe(0);
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it.each([
    { args: ['--help'], says: /usage: cnictl[\s\S]*examples:/ },
    { args: ['add', '--help'], says: /--port[\s\S]*examples:/ },
    { args: ['version'], says: /"cnictl": "\d/ },
  ])('$args explains itself', async ({ args, says }) => {
    const ended = await call(...args);
    expect(ended.exitCode, ended.said).toBe(0);
    expect(ended.stdout).toMatch(says);
  });

  it.each([
    { args: [], names: /usage|--help/ },
    { args: ['fly'], names: /fly/ },
    { args: ['add'], names: /NETWORK/ },
    { args: ['add', 'testnet'], names: /NETNS/ },
    { args: ['add', 'nonet', '/run/netns/none'], names: /nonet/ },
    { args: ['add', 'testnet', '/run/netns/none'], names: /\/run\/netns\/none/ },
    { args: ['add', 'testnet', '@', '--port', '0:80'], names: /0:80/ },
    { args: ['add', 'testnet', '@', '--port', '80'], names: /80/ },
    { args: ['add', 'testnet', '@', '--port', '80:80/icmp'], names: /icmp/ },
    { args: ['add', 'testnet', '@', '--container-id', '../x'], names: /\.\.\/x|container/ },
    { args: ['add', 'testnet', '@', '--ifname', 'a/b'], names: /a\/b|interface name/ },
    { args: ['add', 'testnet', '@', '--nonsense'], names: /nonsense/ },
  ])('$args is refused in a sentence', async ({ args, names }) => {
    const ended = await call(...args.map((word) => (word === '@' ? pod.path : word)));
    expect(ended.exitCode, ended.said).not.toBe(0);
    expect(ended.stderr + ended.stdout).toMatch(names);
    expect(ended.stderr + ended.stdout).not.toMatch(/^ {4}at /m);
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });
});
