import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listNetworks, loadNetwork } from '../../../../lib/libcni/conf-dir.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'conf-dir-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function put(files: { readonly [name: string]: object | string }): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  }
}

const list = (name: string, type: string) => ({ name, plugins: [{ type }] });
const typesOf = (name: string) => loadNetwork(folder, name).plugins.map(({ type }) => type);

describe('loadNetwork()', () => {
  test('prefers .conflist to .conf and .json, and the first file of a kind', () => {
    put({
      '00.conf': { name: 'n', type: 'single' },
      '20.conflist': list('n', 'second'),
      '10.conflist': list('n', 'first'),
      '05.conflist': list('other', 'other'),
    });
    expect(typesOf('n')).toEqual(['first']);
  });

  test.each(['10.conf', '10.json'])('falls back to the single plugin in %s', (file) => {
    put({ [file]: { name: 'n', type: 'single', cniVersion: '0.3.1' }, '05.conflist': list('other', 'other') });
    expect(typesOf('n')).toEqual(['single']);
    expect(loadNetwork(folder, 'n').cniVersion).toBe('0.3.1');
  });

  test('adds the plugins in the folder of the network, sorted', () => {
    put({
      '10.conflist': list('n', 'inlined'),
      'n/20.conf': { type: 'second' },
      'n/10.conf': { type: 'first' },
      'n/30.json': { type: 'no' },
    });
    expect(typesOf('n')).toEqual(['inlined', 'first', 'second']);
  });

  test('takes them alone when the list has none', () => {
    put({ '10.conflist': { name: 'n' }, 'n/10.conf': { type: 'first' } });
    expect(typesOf('n')).toEqual(['first']);
  });

  test('leaves them when loadOnlyInlinedPlugins is set', () => {
    put({ '10.conflist': { ...list('n', 'inlined'), loadOnlyInlinedPlugins: 'true' }, 'n/10.conf': { type: 'no' } });
    expect(typesOf('n')).toEqual(['inlined']);
  });

  test('refuses a network without any plugin', () => {
    put({ '10.conflist': { name: 'n' } });
    expect(() => loadNetwork(folder, 'n')).toThrow(`cannot load "${folder}/10.conflist": no plugin configs found`);
  });

  test('names the damaged file before the match, and does not look at those after it', () => {
    put({ '10.conflist': list('n', 'bridge'), '20.conflist': '{' });
    expect(typesOf('n')).toEqual(['bridge']);
    put({ '05.conflist': '{' });
    expect(() => loadNetwork(folder, 'n')).toThrow(`cannot load "${folder}/05.conflist": it is no JSON`);
  });

  test('names the damaged plugin file of the network', () => {
    put({ '10.conflist': list('n', 'bridge'), 'n/10.conf': '{"name":"x"}' });
    expect(() => loadNetwork(folder, 'n')).toThrow(`cannot load "${folder}/n/10.conf": `);
  });

  test('never follows a name out of the folder', () => {
    put({ '10.conflist': { name: '../n', plugins: [{ type: 'bridge' }] } });
    expect(() => loadNetwork(folder, '../n')).toThrow('invalid characters found in network name');
  });

  test('says that nothing matches, or that nothing is there', () => {
    expect(() => loadNetwork(`${folder}/none`, 'n')).toThrow(`no net configurations found in ${folder}/none`);
    put({ '10.conflist': list('other', 'bridge'), 'x.txt': '{' });
    expect(() => loadNetwork(folder, 'n')).toThrow(`no net configuration with name "n" in ${folder}`);
  });
});

describe('listNetworks()', () => {
  function listed(): { types: Record<string, string[]>; warnings: string[] } {
    const warnings: string[] = [];
    const networks = listNetworks(folder, (message) => warnings.push(message));
    return { types: Object.fromEntries(networks.map((n) => [n.name, n.plugins.map(({ type }) => type)])), warnings };
  }

  test('finds for each name what loadNetwork() finds', () => {
    put({
      '00.conf': { name: 'a', type: 'single' },
      '01.conf': { name: 'c', type: 'single' },
      '10.conflist': list('a', 'first'),
      '20.conflist': list('a', 'second'),
      '30.conflist': { name: 'b' },
      'b/10.conf': { type: 'beside' },
    });
    const { types, warnings } = listed();
    expect(types).toEqual({ a: ['first'], b: ['beside'], c: ['single'] });
    for (const [name, expected] of Object.entries(types)) expect(typesOf(name)).toEqual(expected);
    expect(warnings).toEqual([]);
  });

  test('passes over what cannot be loaded, and says so', () => {
    put({ '10.conflist': '{', '20.conflist': list('../x', 'bridge'), '30.conflist': list('n', 'bridge') });
    const { types, warnings } = listed();
    expect(types).toEqual({ n: ['bridge'] });
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain(`passing over ${join(folder, '10.conflist')}: cannot load`);
    expect(warnings[1]).toContain('invalid characters found in network name');
  });

  test('is empty without a folder', () => {
    rmSync(folder, { recursive: true });
    expect(listed()).toEqual({ types: {}, warnings: [] });
    mkdirSync(folder);
  });
});
