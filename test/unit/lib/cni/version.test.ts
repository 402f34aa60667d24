/** Which version has which verb, in the reference's order of checks and words. */

import { describe, expect, test } from 'vitest';
import { CniError, code } from '../../../../lib/cni/errors.ts';
import { atLeast, requireVersion, resultShape, SPEC_VERSIONS } from '../../../../lib/cni/version.ts';

describe('atLeast()', () => {
  test.each([
    ['0.3.0', '0.3.0', true],
    ['0.10.0', '0.9.9', true],
    ['1', '1.0.0', true],
    ['1.0', '1.0.1', false],
    ['0.9.9', '1', false],
    ['10.0.0', '9.0.0', true],
  ])('%s is at least %s: %s', (version, minimum, expected) => {
    expect(atLeast(version, minimum)).toBe(expected);
  });
  test.each(['', 'x', '1.x', '1.0.0.0', 'v1.0.0', '1.-1', '1.1.0-rc1'])('refuses %j', (version) => {
    expect(() => atLeast(version, '0.1.0')).toThrow(expect.objectContaining({ code: code.decodingFailure }));
  });
});

test.each([
  ['0.1.0', 'ip4ip6'],
  ['0.2.0', 'ip4ip6'],
  ['0.3.0', 'versioned'],
  ['0.3.1', 'versioned'],
  ['0.4.0', 'versioned'],
  ['1.0.0', 'current'],
  ['1.1.0', 'current'],
  ['1.2.0', undefined],
  ['0.5.0', undefined],
  ['', undefined],
])('resultShape(%j) is %s', (version, shape) => {
  expect(resultShape(version)).toBe(shape);
});

describe('requireVersion()', () => {
  const since = { ADD: '0.1.0', DEL: '0.1.0', CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' };
  const cases = Object.entries(since).flatMap(([verb, first]) =>
    SPEC_VERSIONS.map((version) => ({ verb, version, allowed: atLeast(version, first) })),
  );
  test.each(cases)('$verb in $version: $allowed', ({ verb, version, allowed }) => {
    if (allowed) expect(requireVersion(version, verb)).toBe(version);
    else {
      expect(() => requireVersion(version, verb)).toThrow(
        expect.objectContaining({
          code: code.incompatibleVersion,
          message: `config version does not allow ${verb}`,
        }),
      );
    }
  });

  const supported = '["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]';
  test.each([
    ['ADD', '1.2.0', 'incompatible CNI versions', `config is "1.2.0", plugin supports ${supported}`],
    ['DEL', '1', 'incompatible CNI versions', `config is "1", plugin supports ${supported}`],
    ['ADD', 'x', 'incompatible CNI versions', `config is "x", plugin supports ${supported}`],
    ['CHECK', '0.5.0', 'incompatible CNI versions', `config is "0.5.0", plugin supports ${supported}`],
    ['CHECK', '1.2.0', 'plugin version does not allow CHECK', expect.stringContaining('1.1.0')],
    ['GC', '2.0.0', 'plugin version does not allow GC', expect.stringContaining('1.1.0')],
    ['STATUS', '1.1.1', 'plugin version does not allow STATUS', expect.stringContaining('1.1.0')],
  ])('%s in %s: %s', (verb, version, message, details) => {
    expect(() => requireVersion(version, verb)).toThrow(CniError);
    expect(() => requireVersion(version, verb)).toThrow(
      expect.objectContaining({ code: code.incompatibleVersion, message, details }),
    );
  });

  test('CHECK in a version that is none is a decoding failure', () => {
    expect(() => requireVersion('x', 'CHECK')).toThrow(expect.objectContaining({ code: code.decodingFailure }));
  });
});
