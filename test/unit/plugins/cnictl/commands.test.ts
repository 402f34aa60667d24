import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Invocation } from '../../../../plugins/cnictl/command.ts';
import { COMMANDS } from '../../../../plugins/cnictl/commands.ts';
import { commandHelp, generalHelp } from '../../../../plugins/cnictl/help.ts';
import { OPTIONS, type ParsedOptions } from '../../../../plugins/cnictl/options.ts';

let world = '';
beforeEach(() => {
  world = mkdtempSync(join(tmpdir(), 'cnictl-'));
  mkdirSync(join(world, 'bin'));
  const reply = '{"cniVersion":"1.1.0","supportedVersions":["1.1.0"],"ips":[{"address":"10.1.0.5/24"}]}';
  writeFileSync(join(world, 'bin/fake'), `#!/bin/sh\n/bin/cat > /dev/null\necho '${reply}'\n`, { mode: 0o755 });
  configure({ cniVersion: '1.1.0', plugins: [{ type: 'fake', capabilities: { portMappings: true } }] });
});
afterEach(() => rmSync(world, { recursive: true }));

function configure(conf: object): void {
  writeFileSync(join(world, '10.conflist'), JSON.stringify({ name: 'net1', ...conf }));
}

function invoke(name: string, positionals: readonly string[], options: Partial<ParsedOptions> = {}) {
  const env = { NETCONFPATH: world };
  const host = { warn: () => {}, checkpoint: async () => {} };
  const invocation: Invocation = {
    positionals,
    options: { port: [], ip: [], dryRun: false, json: false, ...options },
    env,
    cwd: world,
    runtime: { path: [join(world, 'bin')], cacheDir: join(world, 'cache'), env, host },
  };
  const command = COMMANDS[name];
  if (command === undefined) throw new Error(`no command ${name}`);
  return command.run(invocation);
}

describe('the commands', () => {
  test('add, check and del say what they did', async () => {
    const added = await invoke('add', ['net1', '/run/netns/x'], { containerId: 'c1', port: ['80:8'] });
    expect(added.json).toBe(
      '{\n    "cniVersion": "1.1.0",\n    "ips": [\n        {\n            "address": "10.1.0.5/24"\n        }\n    ]\n}',
    );
    expect(added.text).toContain('port       *:80 → 8/tcp');
    const checked = await invoke('check', ['net1', '/run/netns/x'], { containerId: 'c1' });
    expect(checked).toEqual({ json: '', text: 'eth0 of c1 is as ADD left it' });
    const deleted = await invoke('del', ['net1', '/run/netns/x'], { containerId: 'c1' });
    expect(deleted).toEqual({ json: '', text: 'eth0 of c1 is detached from net1' });
  });

  test('check says so when the network disables it', async () => {
    configure({ cniVersion: '1.1.0', disableCheck: true, plugins: [{ type: 'fake' }] });
    expect((await invoke('check', ['net1', 'x'])).text).toBe('network net1 has CHECK disabled');
  });

  test('status says what it knows', async () => {
    expect(await invoke('status', ['net1'])).toEqual({ json: '', text: 'network net1 is ready' });
    configure({ cniVersion: '0.4.0', plugins: [{ type: 'fake' }] });
    expect((await invoke('status', ['net1'])).text).toContain('its cniVersion is "0.4.0", STATUS needs 1.1.0');
  });

  test('version tells of cnictl, or of the plugins of a network', async () => {
    expect(JSON.parse((await invoke('version', [])).json)).toMatchObject({ cniVersion: '1.1.0', cnictl: 'dev' });
    const { json } = await invoke('version', ['net1']);
    expect(JSON.parse(json)).toMatchObject({ plugins: { fake: ['1.1.0'] } });
  });

  test('an option that no plugin hears of is refused before anything is done', async () => {
    const add = invoke('add', ['net1', 'x'], { ip: ['10.1.0.7'] });
    await expect(add).rejects.toMatchObject({ name: 'UsageError', message: 'no plugin of network "net1" takes --ip' });
  });
});

/** A network whose leases are in the world's folder. */
function lease(files: { readonly [name: string]: string }, conf: object = {}): void {
  const dataDir = join(world, 'networks');
  configure({ cniVersion: '1.1.0', plugins: [{ type: 'bridge', ipam: { type: 'host-local', dataDir } }], ...conf });
  mkdirSync(join(dataDir, 'net1'), { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dataDir, 'net1', name), content);
}

/** Nobody's: an empty lease is what a crash leaves. */
const GARBAGE = { '10.9.0.66': '' };
const LIVING = { '10.9.0.5': 'c1\r\neth0', '10.9.0.10': 'c2', lock: '', 'last_reserved_ip.0': '10.9.0.10' };

describe('the commands about leases', () => {
  const filesLeft = () => readdirSync(join(world, 'networks/net1')).sort();

  test('leases tells of each one what is known', async () => {
    lease(LIVING);
    const { json, text } = await invoke('leases', ['net1']);
    const { leases } = JSON.parse(json) as { leases: object[] };
    expect(leases).toEqual([
      expect.objectContaining({ addresses: ['10.9.0.5'], containerId: 'c1', ifname: 'eth0', verdict: 'unknown' }),
      expect.objectContaining({ addresses: ['10.9.0.10'], containerId: 'c2', ifname: '', hostPorts: [] }),
    ]);
    expect(text).toMatch(/^ADDRESS .* WHY\n10\.9\.0\.5 +net1 +c1 +- +eth0 +- +0s +unknown .*\n10\.9\.0\.10 .*$/);
    expect(filesLeft()).toEqual(Object.keys(LIVING).sort());
  });

  test('leases lists every network of a folder, or says that there is none', async () => {
    lease(LIVING);
    mkdirSync(join(world, 'networks/net2'));
    writeFileSync(join(world, 'networks/net2/10.8.0.2'), 'c3');
    const all = await invoke('leases', [], { dataDir: 'networks' });
    expect(all.text.split('\n').map((line) => line.split(/ +/)[1])).toEqual(['NETWORK', 'net1', 'net1', 'net2']);
    expect(await invoke('leases', [], { dataDir: 'none' })).toMatchObject({ text: 'no leases' });
    lease({}, { name: 'net3' });
    expect(await invoke('leases', ['net3'])).toMatchObject({ text: 'network net3 has no leases' });
  });

  test('gc --dry-run says what it would free and why, and frees nothing', async () => {
    lease({ ...LIVING, ...GARBAGE });
    const { json, text } = await invoke('gc', ['net1'], { dryRun: true });
    expect(JSON.parse(json)).toMatchObject({
      dryRun: true,
      disabled: false,
      freed: [{ addresses: ['10.9.0.66'], verdict: 'dead', why: expect.stringContaining('belongs to nobody') }],
      kept: [{ containerId: 'c1' }, { containerId: 'c2' }],
    });
    expect(text).toMatch(/\n10\.9\.0\.66 .* dead +.*belongs to nobody\n/);
    expect(text).toContain('\nwould free 1 attachment and 0 cached results, keep 2 (2 unknown)');
    expect(filesLeft()).toEqual(Object.keys({ ...LIVING, ...GARBAGE }).sort());
  });

  test('gc does nothing where the network disables it', async () => {
    lease(GARBAGE, { disableGC: true });
    const { json, text } = await invoke('gc', ['net1']);
    expect(text).toBe('network net1 has GC disabled');
    expect(JSON.parse(json)).toMatchObject({ disabled: true, freed: [] });
    expect(filesLeft()).toEqual(['10.9.0.66']);
  });

  test('gc wants a configuration, since that may disable it', async () => {
    lease(GARBAGE);
    rmSync(join(world, '10.conflist'));
    await expect(invoke('gc', ['net1'], { dataDir: 'networks' })).rejects.toThrow('no net configurations found');
  });

  test('release says what helps when it knows nothing of the container', async () => {
    lease(LIVING);
    await expect(invoke('release', ['net1', 'c3'])).rejects.toMatchObject({
      message: 'nothing is known of container "c3" on network "net1"',
      details: expect.stringContaining('cnictl leases net1'),
    });
    await expect(invoke('release', ['net1', 'c1'], { ifname: 'eth1' })).rejects.toThrow('nothing is known of eth1 of');
    expect(filesLeft()).toEqual(Object.keys(LIVING).sort());
  });

  test.each([
    { positionals: ['net1', '../c1'], options: {}, message: 'invalid characters in containerID' },
    { positionals: ['../net1', 'c1'], options: {}, message: 'invalid characters found in network name' },
    { positionals: ['net1', 'c1'], options: { ifname: 'a/b' }, message: 'interface name contains /' },
  ])('release refuses $positionals $options', async ({ positionals, options, message }) => {
    lease(LIVING);
    await expect(invoke('release', positionals, options)).rejects.toThrow(message);
  });
});

describe('the help', () => {
  test('lists every command', () => {
    for (const [name, { summary }] of Object.entries(COMMANDS))
      expect(generalHelp()).toMatch(`${name.padEnd(9)}${summary}`);
  });

  test.each(Object.entries(COMMANDS))('of %s shows its options and examples', (name, command) => {
    const help = commandHelp(name, command);
    for (const option of command.options) expect(help).toContain(OPTIONS[option].help);
    expect(command.examples.length).toBeGreaterThan(0);
    for (const example of command.examples) expect(help).toContain(`  ${example}`);
    expect(command.examples.every((example) => example.startsWith(`cnictl ${name}`))).toBe(true);
  });

  test('and the README agree on commands and options', () => {
    const readme = readFileSync(join(import.meta.dirname, '../../../../plugins/cnictl/README.md'), 'utf8');
    for (const name of Object.keys(COMMANDS)) expect(readme).toContain(`| \`${name}`);
    for (const name of Object.keys(OPTIONS)) expect(readme).toContain(`| \`--${name}`);
  });
});
