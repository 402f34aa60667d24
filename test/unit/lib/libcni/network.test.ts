import { describe, expect, test } from 'vitest';
import { networkOfPlugin, parseNetwork, parsePlugin } from '../../../../lib/libcni/network.ts';

const withKeys = (keys: object) => JSON.stringify({ name: 'n', plugins: [{ type: 'bridge' }], ...keys });

describe('parseNetwork()', () => {
  test('takes the plugins in order, with the capabilities that are true', () => {
    const text = withKeys({
      cniVersion: '1.0.0',
      plugins: [
        { type: 'bridge', capabilities: { ips: true, mac: false } },
        { type: 'portmap', name: 'ports', x: 1 },
      ],
    });
    expect(parseNetwork(text)).toEqual({
      name: 'n',
      cniVersion: '1.0.0',
      disableCheck: false,
      disableGc: false,
      loadOnlyInlinedPlugins: false,
      plugins: [
        {
          type: 'bridge',
          name: '',
          capabilities: ['ips'],
          raw: { type: 'bridge', capabilities: { ips: true, mac: false } },
        },
        { type: 'portmap', name: 'ports', capabilities: [], raw: { type: 'portmap', name: 'ports', x: 1 } },
      ],
      text,
    });
  });

  test.each([
    { cniVersion: '0.4.0', cniVersions: ['0.3.1', '1.0.0', '1.1.0', '1.2.0'], chosen: '1.1.0' },
    { cniVersion: '1.0.0', cniVersions: ['0.3.1', '0.4.0'], chosen: '1.0.0' },
    { cniVersion: '', cniVersions: ['0.3.1', '0.4.0'], chosen: '0.4.0' },
    { cniVersion: '2.0.0', cniVersions: ['0.4.0'], chosen: '0.4.0' },
    { cniVersion: '2.0.0', cniVersions: ['3.0.0'], chosen: '2.0.0' },
    { cniVersion: '2.0.0', cniVersions: [], chosen: '2.0.0' },
    { cniVersion: '', cniVersions: [], chosen: '' },
  ])('chooses $chosen of $cniVersion and $cniVersions', ({ chosen, ...versions }) => {
    expect(parseNetwork(withKeys(versions)).cniVersion).toBe(chosen);
  });

  test.each([
    [true, true],
    [false, false],
    ['true', true],
    ['TRUE', true],
    ['False', false],
  ])('reads the flag %j as %j', (value, meant) => {
    const network = parseNetwork(withKeys({ disableCheck: value, disableGC: value, loadOnlyInlinedPlugins: value }));
    expect([network.disableCheck, network.disableGc, network.loadOnlyInlinedPlugins]).toEqual([meant, meant, meant]);
  });

  test.each([
    { text: '{', message: /it is no JSON: / },
    { text: '{} x', message: /it is no JSON: / },
    { text: '[]', message: /it is no JSON object/ },
    { text: '{"plugins":[{"type":"x"}]}', message: /"name"/ },
    { text: withKeys({ name: 5 }), message: /"name"/ },
    { text: withKeys({ cniVersion: 1 }), message: /"cniVersion"/ },
    { text: withKeys({ cniVersions: '1.0.0' }), message: /"cniVersions"/ },
    { text: withKeys({ cniVersions: ['one'] }), message: /cniVersion "one"/ },
    { text: withKeys({ disableCheck: 'yes' }), message: /"disableCheck"/ },
    { text: withKeys({ disableGC: 1 }), message: /"disableGC"/ },
    { text: withKeys({ loadOnlyInlinedPlugins: '' }), message: /"loadOnlyInlinedPlugins"/ },
    { text: withKeys({ plugins: [] }), message: /"plugins": holds no plugin/ },
    { text: withKeys({ plugins: {} }), message: /"plugins"/ },
    { text: withKeys({ plugins: [{}] }), message: /plugins\[0\]: "type"/ },
    { text: withKeys({ plugins: [{ type: 'a' }, { type: '' }] }), message: /plugins\[1\]: "type"/ },
    { text: withKeys({ plugins: [{ type: 'a', capabilities: { ips: 1 } }] }), message: /"capabilities.ips"/ },
    { text: '{"name":"n","loadOnlyInlinedPlugins":true}', message: /it has no "plugins"/ },
  ])('refuses $text', ({ text, message }) => {
    expect(() => parseNetwork(text)).toThrow(message);
  });
});

describe('networkOfPlugin()', () => {
  test('makes the list that libcni makes of an old-style file', () => {
    const plugin = parsePlugin('{"type":"bridge","name":"old","cniVersion":"0.4.0","b":1,"a":"<"}');
    const network = networkOfPlugin(plugin);
    expect(network).toMatchObject({ name: 'old', cniVersion: '0.4.0', plugins: [{ type: 'bridge' }] });
    const same = '{"a":"\\u003c","b":1,"cniVersion":"0.4.0","name":"old","type":"bridge"}';
    expect(network.text).toBe(`{"cniVersion":"0.4.0","name":"old","plugins":[${same}]}`);
  });
});
