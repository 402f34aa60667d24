/** Environment and stdin to one call: what is required when, and Go's reading of the shared keys. */

import { describe, expect, test } from 'vitest';
import { code } from '../../../../lib/cni/errors.ts';
import { parseNetConf, readEnvironment } from '../../../../lib/cni/request.ts';

const FULL = {
  CNI_CONTAINERID: 'c1',
  CNI_NETNS: '/run/netns/pod',
  CNI_IFNAME: 'eth0',
  CNI_ARGS: 'A=b',
  CNI_PATH: '/opt/cni/bin::/usr/lib/cni',
};
const PATHS = ['/opt/cni/bin', '/usr/lib/cni'];

describe('readEnvironment()', () => {
  test.each(['ADD', 'CHECK', 'DEL'])('%s carries everything', (verb) => {
    expect(readEnvironment({ CNI_COMMAND: verb, ...FULL })).toEqual({
      containerId: 'c1',
      netns: '/run/netns/pod',
      ifname: 'eth0',
      args: 'A=b',
      path: PATHS,
    });
  });
  test.each(['GC', 'STATUS'])('%s carries the path only', (verb) => {
    expect(readEnvironment({ CNI_COMMAND: verb, ...FULL })).toEqual({
      containerId: '',
      netns: '',
      ifname: '',
      args: '',
      path: PATHS,
    });
  });

  test.each([
    ['ADD', 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH'],
    ['CHECK', 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH'],
    ['DEL', 'CNI_CONTAINERID,CNI_IFNAME,CNI_PATH'],
    ['GC', 'CNI_PATH'],
    ['STATUS', 'CNI_PATH'],
  ])('%s requires %s', (verb, names) => {
    const expected = expect.objectContaining({
      code: code.invalidEnvironment,
      message: `required env variables [${names}] missing`,
    });
    expect(() => readEnvironment({ CNI_COMMAND: verb })).toThrow(expected);
    const empty = Object.fromEntries(Object.keys(FULL).map((name) => [name, '']));
    expect(() => readEnvironment({ CNI_COMMAND: verb, ...empty })).toThrow(expected);
  });

  test('DEL needs no CNI_NETNS', () => {
    expect(readEnvironment({ CNI_COMMAND: 'DEL', ...FULL, CNI_NETNS: undefined }).netns).toBe('');
  });

  test('a bad value is reported before a missing variable', () => {
    const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: '../x' };
    expect(() => readEnvironment(env)).toThrow('invalid characters in containerID');
    expect(() => readEnvironment({ CNI_COMMAND: 'DEL', CNI_IFNAME: 'a/b' })).toThrow('interface name contains');
  });

  test.each(['GC', 'STATUS', 'FOO'])('%s does not look at what it does not carry', (verb) => {
    const env = { CNI_COMMAND: verb, CNI_CONTAINERID: '../x', CNI_IFNAME: 'a/b', CNI_PATH: '/x' };
    expect(() => readEnvironment(env)).not.toThrow();
  });
});

describe('parseNetConf()', () => {
  test.each([
    ['{"name":"n"}', { name: 'n', cniVersion: '' }],
    ['{"NAME":"n","CNIVERSION":"1.0.0"}', { name: 'n', cniVersion: '1.0.0' }],
    ['{"name":"a","Name":"b"}', { name: 'b', cniVersion: '' }],
    ['{"name":"a","NAME":null,"cniVersion":null}', { name: 'a', cniVersion: '' }],
    ['{"name":"a","name":"b"}', { name: 'b', cniVersion: '' }],
    [' \n{"name":"n"}\n', { name: 'n', cniVersion: '' }],
  ])('reads %s', (text, expected) => {
    expect(parseNetConf(text)).toMatchObject(expected);
  });

  test('keeps all keys as they came', () => {
    expect(parseNetConf('{"name":"n","x":{"Y":null}}').raw).toEqual({ name: 'n', x: { Y: null } });
  });

  test.each([
    ['', 6, 'error unmarshall network config: stdin is empty'],
    [' \n', 6, 'error unmarshall network config: stdin is empty'],
    ['{', 6, /^error unmarshall network config: /],
    ['{"name":"n"} x', 6, /^error unmarshall network config: /],
    ["{'name':'n'}", 6, /^error unmarshall network config: /],
    ['[]', 6, 'error unmarshall network config: stdin holds no JSON object'],
    ['"x"', 6, 'error unmarshall network config: stdin holds no JSON object'],
    ['null', 6, 'error unmarshall network config: stdin holds no JSON object'],
    ['{"name":5}', 6, 'cannot read "name" of the network config: it is no string'],
    ['{"name":"n","cniVersion":1}', 6, 'cannot read "cniVersion" of the network config: it is no string'],
    ['{}', 7, 'missing network name'],
    ['{"name":""}', 7, 'missing network name'],
    ['{"name":null}', 7, 'missing network name'],
    ['{"name":"a/b"}', 7, 'invalid characters found in network name'],
    ['{"name":"a/b","cniVersion":1}', 7, 'invalid characters found in network name'],
  ])('refuses %j', (text, errorCode, message) => {
    const matched = typeof message === 'string' ? message : expect.stringMatching(message);
    expect(() => parseNetConf(text)).toThrow(expect.objectContaining({ code: errorCode, message: matched }));
  });
});
