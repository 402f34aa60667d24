import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { COMMANDS, type Invocation } from '../../../../plugins/cnictl/commands.ts';
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
    options: { port: [], ip: [], json: false, ...options },
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
