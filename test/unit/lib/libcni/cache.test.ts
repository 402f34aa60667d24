import {
  chmodSync,
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
import { readCache, removeCache, writeCache } from '../../../../lib/libcni/cache.ts';
import { parseNetwork } from '../../../../lib/libcni/network.ts';

const network = parseNetwork('{"cniVersion":"1.1.0","name":"net1","plugins":[{"type":"bridge"}]}');
const attachment = { containerId: 'c1', netns: '/run/netns/c1', ifname: 'eth0' };
const result = { ips: [{ address: '10.1.0.5/24', interface: 0 }], cniVersion: '1.1.0', interfaces: [{ name: 'eth0' }] };

let dir = '';
let file = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cache-'));
  file = join(dir, 'results/net1-c1-eth0');
});
afterEach(() => rmSync(dir, { recursive: true }));

function put(content: string): void {
  mkdirSync(join(dir, 'results'), { recursive: true });
  writeFileSync(file, content);
}

describe('writeCache()', () => {
  test("writes libcni's bytes, and nothing beside them", () => {
    const args = [['IgnoreUnknown', '1']] as const;
    const capabilityArgs = { portMappings: [{ hostPort: 80, containerPort: 8, protocol: 'tcp' }] };
    writeCache(dir, network, { ...attachment, args, capabilityArgs, result });
    expect(readFileSync(file, 'utf8')).toBe(
      '{"kind":"cniCacheV1","containerId":"c1",' +
        `"config":"${Buffer.from(network.text).toString('base64')}",` +
        '"ifName":"eth0","networkName":"net1","netns":"/run/netns/c1","cniArgs":[["IgnoreUnknown","1"]],' +
        '"capabilityArgs":{"portMappings":[{"containerPort":8,"hostPort":80,"protocol":"tcp"}]},' +
        '"result":{"cniVersion":"1.1.0","interfaces":[{"name":"eth0"}],"ips":[{"address":"10.1.0.5/24","interface":0}]}}',
    );
    expect(readdirSync(join(dir, 'results'))).toEqual(['net1-c1-eth0']);
  });

  test('leaves out what is empty', () => {
    writeCache(dir, network, { ...attachment, netns: '', args: [], capabilityArgs: {}, result });
    const keys = Object.keys(JSON.parse(readFileSync(file, 'utf8')) as object);
    expect(keys).toEqual(['kind', 'containerId', 'config', 'ifName', 'networkName', 'result']);
  });

  test('lets only the owner read, and replaces what was there', () => {
    put('old');
    chmodSync(file, 0o644);
    writeCache(dir, network, { ...attachment, result });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    rmSync(join(dir, 'results'), { recursive: true });
    writeCache(dir, network, { ...attachment, result });
    expect(statSync(join(dir, 'results')).mode & 0o777).toBe(0o700);
  });

  test('fails with the path, and leaves no draft', () => {
    mkdirSync(file, { recursive: true });
    expect(() => writeCache(dir, network, { ...attachment, result })).toThrow(`cannot write "${file}"`);
    expect(readdirSync(join(dir, 'results'))).toEqual(['net1-c1-eth0']);
  });
});

describe('readCache()', () => {
  test('gives back what was written', () => {
    const args = [['K', 'V']] as const;
    writeCache(dir, network, { ...attachment, args, capabilityArgs: { mac: 'x' }, result });
    expect(readCache(dir, network, attachment)).toEqual({ result, args, capabilityArgs: { mac: 'x' } });
  });

  test('knows nothing of another attachment', () => {
    writeCache(dir, network, { ...attachment, result });
    expect(readCache(dir, network, { ...attachment, ifname: 'eth1' })).toBeUndefined();
    expect(readCache(`${dir}/none`, network, attachment)).toBeUndefined();
  });

  test("converts the result to the network's version", () => {
    writeCache(dir, network, { ...attachment, result });
    expect(readCache(dir, { ...network, cniVersion: '0.4.0' }, attachment)?.result).toEqual({
      cniVersion: '0.4.0',
      interfaces: [{ name: 'eth0' }],
      ips: [{ version: '4', interface: 0, address: '10.1.0.5/24' }],
      dns: {},
    });
  });

  test('takes a file without a kind for the bare result that old runtimes wrote', () => {
    put('{"cniVersion":"0.2.0","ip4":{"ip":"10.1.0.5/24"}}');
    expect(readCache(dir, network, attachment)).toEqual({
      result: { cniVersion: '1.1.0', ips: [{ address: '10.1.0.5/24' }] },
    });
  });

  test('takes an entry without a result as it is', () => {
    put('{"kind":"cniCacheV1","capabilityArgs":{"mac":"x"}}');
    expect(readCache(dir, network, attachment)).toEqual({ capabilityArgs: { mac: 'x' } });
  });

  test.each([
    '',
    '{"kind":',
    'null',
    '[]',
    '\0\0\0',
    '{"kind":"cniCacheV1","cniArgs":[["a"]]}',
    '{"kind":"cniCacheV1","capabilityArgs":[]}',
    '{"kind":"cniCacheV1","result":{"cniVersion":"9.0.0"}}',
    '{"kind":"cniCacheV1","result":{"cniVersion":"1.0.0","ips":[{"address":"x"}]}}',
  ])('refuses %j, naming the file', (content) => {
    put(content);
    expect(() => readCache(dir, network, attachment)).toThrow('failed to get network "net1" cached result');
  });

  test('does not follow a link, and takes no folder for a file', () => {
    mkdirSync(join(dir, 'results'));
    symlinkSync('/etc/passwd', file);
    expect(() => readCache(dir, network, attachment)).toThrow(`cannot read "${file}": it is a symbolic link`);
    rmSync(file);
    mkdirSync(file);
    expect(() => readCache(dir, network, attachment)).toThrow(`cannot read "${file}"`);
  });
});

describe('removeCache()', () => {
  test('removes the entry, and is content when there is none', () => {
    writeCache(dir, network, { ...attachment, result });
    removeCache(dir, network, attachment);
    removeCache(dir, network, attachment);
    expect(readdirSync(join(dir, 'results'))).toEqual([]);
  });
});
