import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseNetwork } from '../../../../lib/libcni/network.ts';
import type { Invocation } from '../../../../plugins/cnictl/command.ts';
import { allPlaces, findPlaces, placesOf } from '../../../../plugins/cnictl/places.ts';

let folder = '';
let warnings: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'places-'));
  warnings = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

const conflist = (name: string, ...plugins: object[]) => ({ name, plugins });
const bridge = (ipam: object) => ({ type: 'bridge', ipam: { type: 'host-local', ...ipam } });
const network = (...plugins: object[]) => parseNetwork(JSON.stringify(conflist('net1', ...plugins)));

function configure(file: string, content: object | string): void {
  writeFileSync(join(folder, file), typeof content === 'string' ? content : JSON.stringify(content));
}

function invocation(dataDir?: string): Invocation {
  const env = { NETCONFPATH: folder };
  const host = { warn: (message: string) => void warnings.push(message), checkpoint: async () => {} };
  return {
    positionals: [],
    options: { port: [], ip: [], dataDir, dryRun: false, json: false },
    env,
    cwd: folder,
    runtime: { path: [], cacheDir: folder, env, host },
  };
}

describe('placesOf()', () => {
  test.each([
    { of: 'bridge', plugins: [bridge({ dataDir: '/data' })], dataDir: '/data' },
    {
      of: 'flannel',
      plugins: [{ type: 'flannel', dataDir: '/flannel', ipam: { dataDir: '/data' } }],
      dataDir: '/data',
    },
    { of: 'a bridge that does not say', plugins: [bridge({})], dataDir: '/var/lib/cni/networks' },
    { of: 'plugins without ipam', plugins: [{ type: 'flannel' }], dataDir: '/var/lib/cni/networks' },
    { of: 'a list', plugins: [{ type: 'tuning' }, bridge({ dataDir: '/data' })], dataDir: '/data' },
  ])('takes the folder of $of', ({ plugins, dataDir }) => {
    expect(placesOf(network(...plugins))).toEqual([{ dataDir, network: 'net1' }]);
  });

  test('takes several folders of one list, each once', () => {
    const plugins = ['/a', '/b', '/a'].map((dataDir) => bridge({ dataDir }));
    expect(placesOf(network(...plugins)).map(({ dataDir }) => dataDir)).toEqual(['/a', '/b']);
  });

  test('takes the age of the dead, also with a folder from the command line', () => {
    const minAgeMs = 5000;
    const one = network(bridge({ dataDir: '/data', reclaimMinAgeSeconds: 5 }));
    expect(placesOf(one)).toEqual([{ dataDir: '/data', network: 'net1', minAgeMs }]);
    expect(placesOf(one, '/other')).toEqual([{ dataDir: '/other', network: 'net1', minAgeMs }]);
  });

  test('refuses a folder that is no absolute path', () => {
    expect(() => placesOf(network(bridge({ dataDir: '../x' })))).toThrow('must be an absolute path');
  });
});

describe('findPlaces()', () => {
  test('goes by the configuration, past damaged files before it', () => {
    configure('05.conflist', '{');
    configure('10.conflist', conflist('net1', bridge({ dataDir: '/data' })));
    expect(findPlaces('net1', invocation())).toEqual([{ dataDir: '/data', network: 'net1' }]);
    expect(warnings).toHaveLength(1);
  });

  test.each(['net1', '.nodecni/net1'])('needs none when the folder has %s', (path) => {
    mkdirSync(join(folder, path), { recursive: true });
    expect(findPlaces('net1', invocation('.'))).toEqual([{ dataDir: folder, network: 'net1' }]);
  });

  test('refuses a network of which nothing is known', () => {
    expect(() => findPlaces('net1', invocation('.'))).toThrow('nothing is known of network "net1"');
  });

  test.each(['..', 'a/b', ''])('refuses the name %j before it becomes a path', (name) => {
    expect(() => findPlaces(name, invocation('.'))).toThrow('network name');
  });
});

describe('allPlaces()', () => {
  test('tells of a configuration that makes no sense, and goes on', () => {
    configure('10.conflist', conflist('bad', bridge({ dataDir: 'x' })));
    configure('20.conflist', conflist('good', bridge({ dataDir: '/data' })));
    expect(allPlaces(invocation())).toEqual([{ dataDir: '/data', network: 'good' }]);
    expect(warnings).toEqual([expect.stringContaining('passing over network bad')]);
  });
});
