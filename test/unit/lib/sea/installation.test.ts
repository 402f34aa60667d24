/** Installing over what is there, going back to it, and leaving it alone. */

import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { install, rollback, uninstall } from '../../../../lib/sea/installation.ts';
import { executableNames, namesOfOwnFile } from '../../../../lib/sea/names.ts';
import { trailerOf } from '../../../../lib/sea/trailer.ts';

const shared = executableNames.filter((name) => !namesOfOwnFile.includes(name));

const GO_NAMES = ['bridge', 'host-local', 'portmap', 'loopback', 'firewall'];

let root: string;
let target: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'installation-'));
  target = join(root, 'opt/cni/bin');
});

afterEach(() => rmSync(root, { recursive: true }));

/** A node that has the reference plugins. */
function withGo(): void {
  mkdirSync(target, { recursive: true });
  for (const name of GO_NAMES) writeFileSync(join(target, name), `go ${name}`, { mode: 0o755 });
}

/** A build of ours whose libraries are `libraries`; another `version` is another build id. */
async function installVersion(version: string, libraries = 'set1'): Promise<void> {
  const executable = join(root, `built-${version}`);
  const library = join(root, libraries);
  writeFileSync(executable, `${version}${trailerOf(version.padStart(32, '0'))}`);
  writeFileSync(library, libraries);
  const files = [{ name: 'libx.so.1', path: library }];
  await install({ executable, libraries: [{ id: libraries, files }], notices: [] }, target);
}

/** What each name is: `1` for version 1 of ours, `go` for the reference's. */
function names(folder = target): Record<string, string | undefined> {
  const found = readdirSync(folder).filter((name) => !name.startsWith('.'));
  return Object.fromEntries(
    found.map((name) => [name, readFileSync(join(folder, name), 'utf8').split(/ |nodecni/)[0]]),
  );
}

const all = (version: string) => Object.fromEntries(executableNames.map((name) => [name, version]));
const go = Object.fromEntries(GO_NAMES.map((name) => [name, 'go']));
/** After going back to the reference: nothing had these names. */
const goAnd = (version: string) => ({ ...all(version), ...go });

function hidden(): string[] {
  return readdirSync(target).filter((name) => name.startsWith('.'));
}

describe('install()', () => {
  test('into an empty folder keeps nothing, and leaves no drafts', async () => {
    await installVersion('1');
    expect(names()).toEqual(all('1'));
    expect(hidden()).toEqual(['.nodecni-lib']);
  });

  test('over the reference keeps it, without a copy', async () => {
    withGo();
    const { ino } = statSync(join(target, 'bridge'));
    await installVersion('1');
    expect(names()).toEqual({ ...all('1'), firewall: 'go' });
    expect(statSync(join(target, '.nodecni-previous/bridge')).ino).toBe(ino);
    expect(hidden()).toEqual(['.nodecni-lib', '.nodecni-previous']);
  });

  test('keeps one version, the last', async () => {
    withGo();
    for (const version of ['1', '2']) await installVersion(version);
    expect(names(join(target, '.nodecni-previous'))).toEqual(all('1'));
  });

  test('of what is there already keeps what was before that', async () => {
    withGo();
    for (const version of ['1', '1', '1']) await installVersion(version);
    const { firewall: _, ...kept } = go;
    expect(names(join(target, '.nodecni-previous'))).toEqual(kept);
  });

  test('keeps the libraries of the version before', async () => {
    await installVersion('1', 'set1');
    await installVersion('2', 'set2');
    expect(readdirSync(join(target, '.nodecni-lib')).sort()).toEqual(['set1', 'set2']);
  });

  test('goes on where one was killed', async () => {
    withGo();
    await installVersion('1');
    // As a kill between two names of the next version leaves it.
    await installVersion('2');
    const kept = join(target, '.nodecni-previous');
    for (const name of ['loopback', 'cnictl']) {
      rmSync(join(target, name));
      writeFileSync(join(target, name), readFileSync(join(kept, name)), { mode: 0o755 });
    }
    mkdirSync(join(target, '.nodecni-staging'));
    writeFileSync(join(target, '.nodecni-staging/executable'), 'half');
    await installVersion('2');
    expect(names()).toEqual({ ...all('2'), firewall: 'go' });
    expect(names(kept)).toEqual(all('1'));
    expect(hidden()).toEqual(['.nodecni-lib', '.nodecni-previous']);
  });

  test('keeps a symbolic link as one', async () => {
    mkdirSync(target, { recursive: true });
    writeFileSync(join(root, 'bridge-of-the-distribution'), 'go bridge');
    symlinkSync('../../../bridge-of-the-distribution', join(target, 'bridge'));
    await installVersion('1');
    expect(readFileSync(join(root, 'bridge-of-the-distribution'), 'utf8')).toBe('go bridge');
    await rollback(target);
    expect(names()).toEqual({ ...all('1'), bridge: 'go' });
  });

  test('refuses an executable that could not be told from others', async () => {
    withGo();
    const placement = { executable: join(target, 'bridge'), libraries: [], notices: [] };
    await expect(install(placement, target)).rejects.toThrow('it is no executable of ours');
    expect(hidden()).toEqual([]);
  });

  test('refuses a folder by the name of a plugin before anything is changed', async () => {
    withGo();
    mkdirSync(join(target, 'cnictl'));
    await expect(installVersion('1')).rejects.toThrow(/cannot install over ".*cnictl": it is a folder/);
    expect(hidden()).toEqual([]);
  });
});

describe('rollback()', () => {
  test('brings the reference back, and removes nothing', async () => {
    withGo();
    await installVersion('1');
    expect(await rollback(target)).toEqual(['bridge', 'host-local', 'portmap', 'loopback']);
    expect(names()).toEqual(goAnd('1'));
    expect(statSync(join(target, 'bridge')).mode & 0o777).toBe(0o755);
  });

  test('twice does no harm, and neither does what follows', async () => {
    withGo();
    await installVersion('1');
    for (const _ of [1, 2]) await rollback(target);
    expect(names()).toEqual(goAnd('1'));
    await installVersion('1');
    expect(names()).toEqual({ ...all('1'), firewall: 'go' });
    await rollback(target);
    expect(names()).toEqual(goAnd('1'));
  });

  test('to an older version of ours', async () => {
    for (const version of ['1', '2']) await installVersion(version);
    await rollback(target);
    expect(names()).toEqual(all('1'));
    expect(new Set(shared.map((name) => statSync(join(target, name)).ino)).size).toBe(1);
  });

  test('after an installation that was killed early takes away no plugin that works', async () => {
    await installVersion('1');
    // As it leaves the folder: the first of the names is kept, none is changed.
    mkdirSync(join(target, '.nodecni-previous'));
    linkSync(join(target, 'bridge'), join(target, '.nodecni-previous/bridge'));
    await rollback(target);
    expect(names()).toEqual(all('1'));
  });

  test('without anything to go back to says so', async () => {
    await installVersion('1');
    await expect(rollback(target)).rejects.toThrow('cannot go back: nothing is kept in');
    expect(names()).toEqual(all('1'));
  });
});

describe('uninstall()', () => {
  test('leaves nothing of ours', async () => {
    for (const version of ['1', '2']) await installVersion(version);
    expect(await uninstall(target)).toEqual([]);
    expect(readdirSync(target)).toEqual([]);
  });

  test('leaves what is not ours, also under our names, and what is kept of others', async () => {
    withGo();
    await installVersion('1');
    rmSync(join(target, 'portmap'));
    writeFileSync(join(target, 'portmap'), 'go portmap');
    expect((await uninstall(target)).sort()).toEqual(['bridge', 'host-local', 'loopback', 'portmap']);
    expect(names()).toEqual({ firewall: 'go', portmap: 'go' });
    expect(hidden()).toEqual(['.nodecni-previous']);
    await rollback(target);
    expect(names()).toEqual(go);
    expect(await uninstall(target)).toEqual([]);
    expect(names()).toEqual(go);
    expect(hidden()).toEqual([]);
  });

  test('of nothing is done already', async () => {
    expect(await uninstall(target)).toEqual([]);
    expect(existsSync(target)).toBe(false);
    withGo();
    chmodSync(join(target, 'bridge'), 0o700);
    await uninstall(target);
    expect(names()).toEqual(go);
  });
});
