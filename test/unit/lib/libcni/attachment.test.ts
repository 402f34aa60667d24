import { describe, expect, test } from 'vitest';
import { buildStdin, requireAttachment } from '../../../../lib/libcni/attachment.ts';
import { type Network, type PluginConf, parseNetwork } from '../../../../lib/libcni/network.ts';

function networkWith(plugin: object): { network: Network; plugin: PluginConf } {
  const network = parseNetwork(JSON.stringify({ cniVersion: '1.1.0', name: 'net1', plugins: [plugin] }));
  const [first] = network.plugins;
  if (first === undefined) throw new Error('no plugin');
  return { network, plugin: first };
}

describe('buildStdin()', () => {
  test('writes compact JSON with sorted keys, the name and version of the network', () => {
    const { network, plugin } = networkWith({
      type: 'bridge',
      name: 'own',
      cniVersion: '0.1.0',
      b: { z: 1, a: '<&>' },
    });
    expect(buildStdin(network, plugin)).toBe(
      '{"b":{"a":"\\u003c\\u0026\\u003e","z":1},"cniVersion":"1.1.0","name":"net1","type":"bridge"}',
    );
  });

  test('adds prevResult', () => {
    const { network, plugin } = networkWith({ type: 'portmap', prevResult: 'stale' });
    expect(JSON.parse(buildStdin(network, plugin, { prevResult: { cniVersion: '1.1.0' } }))).toMatchObject({
      prevResult: { cniVersion: '1.1.0' },
    });
  });

  test('gives a plugin only what it declares, in place of a runtimeConfig of its own', () => {
    const { network, plugin } = networkWith({
      type: 'portmap',
      capabilities: { portMappings: true, mac: false, ips: true },
      runtimeConfig: { mac: 'static' },
    });
    const capabilityArgs = { portMappings: [1], mac: 'x', bandwidth: {} };
    expect(JSON.parse(buildStdin(network, plugin, { capabilityArgs }))).toMatchObject({
      capabilities: { portMappings: true, mac: false, ips: true },
      runtimeConfig: { portMappings: [1] },
    });
    expect(JSON.parse(buildStdin(network, plugin, { capabilityArgs: { mac: 'x' } }))).toMatchObject({
      runtimeConfig: { mac: 'static' },
    });
  });

  test('adds no runtimeConfig where nothing is for the plugin', () => {
    const { network, plugin } = networkWith({ type: 'bridge' });
    expect(buildStdin(network, plugin, { capabilityArgs: { mac: 'x' } })).not.toContain('runtimeConfig');
  });
});

describe('requireAttachment()', () => {
  const { network } = networkWith({ type: 'bridge' });
  const good = { containerId: 'c1', netns: '/run/netns/x', ifname: 'eth0' };

  test('accepts plain names', () => {
    expect(() => requireAttachment(network, good)).not.toThrow();
  });

  test.each([
    { bad: { containerId: '../c1' }, message: 'invalid characters in containerID' },
    { bad: { containerId: '' }, message: 'invalid characters in containerID' },
    { bad: { ifname: 'a/b' }, message: 'interface name contains' },
    { bad: { ifname: '' }, message: 'interface name is empty' },
  ])('refuses $bad', ({ bad, message }) => {
    expect(() => requireAttachment(network, { ...good, ...bad })).toThrow(message);
  });

  test('refuses a network whose name is a path', () => {
    expect(() => requireAttachment({ ...network, name: 'a/b' }, good)).toThrow('invalid characters found in network');
  });

  test('refuses names that do not fit one file name together', () => {
    const long = { ...network, name: 'n'.repeat(100) };
    const fits = { ...good, containerId: 'c'.repeat(255 - 100 - 'eth0'.length - 2) };
    expect(() => requireAttachment(long, fits)).not.toThrow();
    expect(() => requireAttachment(long, { ...fits, containerId: `${fits.containerId}c` })).toThrow('256 bytes');
  });
});
