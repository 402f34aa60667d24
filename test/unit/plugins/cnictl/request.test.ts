import { describe, expect, test } from 'vitest';
import type { ParsedOptions } from '../../../../plugins/cnictl/options.ts';
import { confDirOf, pluginPathOf, readAttachment } from '../../../../plugins/cnictl/request.ts';

const none: ParsedOptions = { port: [], ip: [], dryRun: false, json: false };

function read(env: { readonly [name: string]: string }, options: Partial<ParsedOptions> = {}) {
  return readAttachment('/run/netns/blue', { options: { ...none, ...options }, env, cwd: '/' });
}

describe('readAttachment()', () => {
  test('is that of cnitool when nothing else is said', () => {
    expect(read({})).toEqual({
      containerId: 'cnitool-df26705e2e4ffd095eb1',
      netns: '/run/netns/blue',
      ifname: 'eth0',
    });
  });

  test('takes the interface from the option, then from CNI_IFNAME', () => {
    expect(read({ CNI_IFNAME: 'net1' }).ifname).toBe('net1');
    expect(read({ CNI_IFNAME: 'net1' }, { ifname: 'net2' }).ifname).toBe('net2');
    expect(read({ CNI_IFNAME: '' }).ifname).toBe('eth0');
  });

  test('takes the container ID as it is', () => {
    expect(read({}, { containerId: 'web-1' }).containerId).toBe('web-1');
  });

  test('reads CNI_ARGS in order', () => {
    expect(read({ CNI_ARGS: 'IgnoreUnknown=1;A=b' }).args).toEqual([
      ['IgnoreUnknown', '1'],
      ['A', 'b'],
    ]);
  });

  test.each(['a', 'a=', '=b', 'a=b=c', 'a=b;'])('refuses CNI_ARGS=%s', (text) => {
    expect(() => read({ CNI_ARGS: text })).toThrow('invalid CNI_ARGS pair');
  });

  test('reads CAP_ARGS, also an empty object: it is not the same as none', () => {
    expect(read({ CAP_ARGS: '{"mac":"x"}' }).capabilityArgs).toEqual({ mac: 'x' });
    expect(read({ CAP_ARGS: '{}' }).capabilityArgs).toEqual({});
    expect(read({ CAP_ARGS: '' })).not.toHaveProperty('capabilityArgs');
  });

  test.each(['{', '[]', '1', 'null'])('refuses CAP_ARGS=%s', (text) => {
    expect(() => read({ CAP_ARGS: text })).toThrow('cannot read CAP_ARGS');
  });

  test('adds ports and addresses to those of CAP_ARGS', () => {
    const env = { CAP_ARGS: '{"mac":"x","portMappings":[{"hostPort":1}]}' };
    expect(read(env, { port: ['80:8'], ip: ['10.1.0.7', 'FD00::7'] }).capabilityArgs).toEqual({
      mac: 'x',
      portMappings: [{ hostPort: 1 }, { hostPort: 80, containerPort: 8, protocol: 'tcp' }],
      ips: ['10.1.0.7', 'fd00::7'],
    });
  });

  test('refuses an address that is none', () => {
    expect(() => read({}, { ip: ['10.1.0.7/24'] })).toThrow('cannot read --ip "10.1.0.7/24"');
  });
});

describe('the folders', () => {
  test('are those of the environment, or the usual ones', () => {
    expect(confDirOf({ NETCONFPATH: '/conf' })).toBe('/conf');
    expect(confDirOf({ NETCONFPATH: '' })).toBe('/etc/cni/net.d');
    expect(pluginPathOf({ CNI_PATH: '/a::/b' })).toEqual(['/a', '/b']);
    expect(pluginPathOf({})).toEqual(['/opt/cni/bin']);
  });
});
