/** Results in every version's shape: the reference's bytes, and what each older shape loses. */

import { describe, expect, test } from 'vitest';
import { parseResult, renderResult } from '../../../../lib/cni/convert.ts';
import { code } from '../../../../lib/cni/errors.ts';
import { encode } from '../../../../lib/cni/json.ts';
import { type ResultShape, resultShape, SPEC_VERSIONS } from '../../../../lib/cni/version.ts';
import { emptyResult } from './fake-call.ts';
import { bridgeResult, bridgeText, hostLocalResult, hostLocalText } from './golden.ts';

describe.each(SPEC_VERSIONS)('a result of version %s', (version) => {
  const shape = resultShape(version) as ResultShape;

  test.each([
    { of: 'host-local', result: hostLocalResult, text: hostLocalText },
    { of: 'bridge', result: bridgeResult, text: bridgeText },
  ])('of $of has the bytes of the reference', ({ result, text }) => {
    expect(encode(renderResult(result, version))).toBe(text[shape](version));
  });

  test('comes back as it is, but for what the shape has no form for', () => {
    const back = parseResult(JSON.parse(bridgeText[shape](version)), version, 'prevResult');
    expect(back).toEqual(LOSSES[shape]);
  });

  test('is printed again to the byte after reading it', () => {
    const text = bridgeText[shape](version);
    expect(encode(renderResult(parseResult(JSON.parse(text), version, 'prevResult'), version))).toBe(text);
  });
});

const LOSSES = {
  current: bridgeResult,
  versioned: {
    ...bridgeResult,
    interfaces: bridgeResult.interfaces.map(({ mtu: _mtu, ...kept }) => kept),
  },
  ip4ip6: {
    ...bridgeResult,
    interfaces: [],
    ips: [
      { address: '10.1.2.2/24', gateway: '10.1.2.1' },
      { address: '2001:db8::2/64', gateway: '2001:db8::1' },
    ],
    routes: [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }, { dst: '::/0' }],
  },
};

test('renderResult() takes an absent version for the oldest', () => {
  expect(renderResult(hostLocalResult, '')).toEqual(renderResult(hostLocalResult, '0.1.0'));
});

test.each(['0.1.0', '0.2.0'])('renderResult() cannot describe an attachment without addresses in %s', (version) => {
  expect(() => renderResult(emptyResult, version)).toThrow(/cannot convert .*: no valid IP addresses/);
});

test('renderResult() leaves out the routes of a family without address before 0.3.0', () => {
  const result = { ...hostLocalResult, routes: [{ dst: '::/0' }] };
  expect(renderResult(result, '0.2.0')).toEqual({
    cniVersion: '0.2.0',
    ip4: { ip: '10.1.2.2/24', gateway: '10.1.2.1' },
    dns: {},
  });
});

test.each([
  ['0.4.0', { cniVersion: '0.4.0', dns: {} }],
  ['1.0.0', { cniVersion: '1.0.0' }],
])('renderResult() leaves out all that is empty in %s', (version, expected) => {
  const empty = { nameservers: [], domain: '', search: [], options: [] };
  expect(renderResult({ ...emptyResult, dns: empty }, version)).toEqual(expected);
});

test('renderResult() refuses a version that does not exist', () => {
  expect(() => renderResult(hostLocalResult, '0.5.0')).toThrow('no converter for CNI result version 1.1.0 to 0.5.0');
});

describe('parseResult() reads the families by the version of the configuration', () => {
  const families = [
    ['', '0.1.0', '0.2.0'],
    ['0.3.0', '0.3.1', '0.4.0'],
    ['1.0.0', '1.1.0'],
  ] as const;
  const all = families.flat();
  const cases = all.flatMap((config) =>
    all.map((own) => ({ config, own, ok: families.some((family) => [config, own].every((v) => isIn(family, v))) })),
  );
  test.each(cases)('"$config" with a result of "$own": $ok', ({ config, own, ok }) => {
    const call = () => parseResult(own === '' ? {} : { cniVersion: own }, config, 'prevResult');
    // A result without version is of the configuration's.
    if (ok || own === '') expect(call()).toEqual(emptyResult);
    else {
      expect(call).toThrow(
        expect.objectContaining({
          code: code.invalidConfig,
          message: expect.stringMatching(
            /^could not parse prevResult: result type supports \[.*\] but its cniVersion is /,
          ),
        }),
      );
    }
  });

  function isIn(family: readonly string[], version: string): boolean {
    return family.includes(version);
  }

  test('an unknown one is refused', () => {
    expect(() => parseResult({}, '0.5.0', 'prevResult')).toThrow(
      'could not parse prevResult: unsupported CNI result version "0.5.0"',
    );
    expect(() => parseResult({ cniVersion: '0.5.0' }, '0.4.0', 'prevResult')).toThrow('but its cniVersion is "0.5.0"');
  });

  test('an empty cniVersion is a missing one', () => {
    expect(parseResult({ CNIVERSION: '' }, '1.0.0', 'prevResult')).toEqual(emptyResult);
  });
});

describe('parseResult() prints as Go does', () => {
  test('addresses in canonical form, MAC addresses as they came, keys in any letter case', () => {
    const value = {
      INTERFACES: [{ Name: 'eth0', MAC: '0A:BB:00:00:00:01' }],
      ips: [
        { Address: '2001:DB8:0:0::2/64', gateway: '2001:db8:0::1' },
        { address: '10.0.0.9/8', gateway: '' },
      ],
      routes: [
        { dst: '2001:DB8::9/32', gw: '::FFFF:10.0.0.1' },
        { dst: '10.9.9.9/16', gw: null },
      ],
      dns: null,
      unknown: 1,
    };
    expect(parseResult(value, '1.1.0', 'prevResult')).toEqual({
      interfaces: [{ name: 'eth0', mac: '0A:BB:00:00:00:01' }],
      ips: [{ address: '2001:db8::2/64', gateway: '2001:db8::1' }, { address: '10.0.0.9/8' }],
      routes: [{ dst: '2001:db8::9/32', gw: '10.0.0.1' }, { dst: '10.9.9.9/16' }],
      dns: {},
    });
  });

  test.each([
    ['no object', [], 'could not parse prevResult: it is no JSON object'],
    ['no object', 'x', 'could not parse prevResult: it is no JSON object'],
    ['a bad address', { ips: [{ address: '10.0.0.1' }] }, '"ips[0].address": is no CIDR like 10.1.0.5/24'],
    ['no address', { ips: [{}] }, '"ips[0].address": is missing'],
    ['a bad gateway', { ips: [{ address: '10.0.0.1/8', gateway: 'x' }] }, '"ips[0].gateway": is no IP address'],
    ['a bad route', { routes: [{ dst: 'default' }] }, '"routes[0].dst": is no CIDR like 10.1.0.5/24'],
    ['a bad next hop', { routes: [{ dst: '::/0', gw: '1' }] }, '"routes[0].gw": is no IP address'],
    ['a bad index', { ips: [{ address: '::1/128', interface: '0' }] }, '"ips[0].interface": must be a number'],
    ['a bad version', { cniVersion: 1 }, '"cniVersion": must be a string, not 1'],
  ])('refuses %s: %j', (_what, value, message) => {
    const call = () => parseResult(value, '1.1.0', 'prevResult');
    expect(call).toThrow(expect.objectContaining({ code: code.invalidConfig }));
    expect(call).toThrow(message);
  });
});
