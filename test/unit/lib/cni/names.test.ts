/** Names from outside: what the reference takes is taken, what could leave a path or an argument is not. */

import { describe, expect, test } from 'vitest';
import { code } from '../../../../lib/cni/errors.ts';
import { quoteShort, requireContainerId, requireIfname, requireNetworkName } from '../../../../lib/cni/names.ts';

const GOOD = ['a', 'A9', '0', 'abc_def.ghi-jkl', 'a..b', 'x'.repeat(200)];
const BAD = ['.', '..', '-a', '_a', 'a/b', '../x', 'a b', 'a\n', 'a\0', 'ä', 'a:b'];

describe('requireContainerId()', () => {
  test.each(GOOD)('takes %j', (id) => {
    expect(() => requireContainerId(id)).not.toThrow();
  });
  test.each(BAD)('refuses %j', (id) => {
    expect(() => requireContainerId(id)).toThrow(
      expect.objectContaining({
        code: code.invalidEnvironment,
        message: 'invalid characters in containerID',
        details: JSON.stringify(id),
      }),
    );
  });
  test('refuses what is too long for a file name, without repeating all of it', () => {
    expect(() => requireContainerId('x'.repeat(10_000))).toThrow(
      expect.objectContaining({
        code: code.invalidEnvironment,
        message: 'CNI_CONTAINERID is too long: 10000 characters, at most 200',
        details: `"${'x'.repeat(77)}..."`,
      }),
    );
  });
});

describe('requireNetworkName()', () => {
  test.each(GOOD)('takes %j', (name) => {
    expect(() => requireNetworkName(name)).not.toThrow();
  });
  test.each(BAD)('refuses %j', (name) => {
    expect(() => requireNetworkName(name)).toThrow(
      expect.objectContaining({ code: code.invalidConfig, message: 'invalid characters found in network name' }),
    );
  });
  test('refuses an empty one', () => {
    expect(() => requireNetworkName('')).toThrow(
      expect.objectContaining({ code: code.invalidConfig, message: 'missing network name' }),
    );
  });
  test('refuses one of 201 characters', () => {
    expect(() => requireNetworkName('x'.repeat(201))).toThrow(expect.objectContaining({ code: code.invalidConfig }));
  });
});

describe('requireIfname()', () => {
  test.each(['eth0', 'a', '...', 'veth1234567890a', '-x', 'ä'.repeat(7), 'a\u200bb', 'a\ufeffb'])(
    'takes %j',
    (name) => {
      expect(() => requireIfname(name)).not.toThrow();
    },
  );

  const characters = 'interface name contains / or : or whitespace characters';
  test.each([
    ['', 'interface name is empty'],
    ['x'.repeat(16), 'interface name is too long'],
    ['ä'.repeat(8), 'interface name is too long'],
    ['.', 'interface name is . or ..'],
    ['..', 'interface name is . or ..'],
    ['a/b', characters],
    ['a:1', characters],
    ['a b', characters],
    ['a\tb', characters],
    ['a\nb', characters],
    ['a\u0085b', characters],
    ['a\u00a0b', characters],
    ['a\u2003b', characters],
    ['a\u3000b', characters],
    ['a\0b', characters],
  ])('refuses %j', (name, message) => {
    expect(() => requireIfname(name)).toThrow(expect.objectContaining({ code: code.invalidEnvironment, message }));
  });
});

test('quoteShort() cuts from 81 characters on', () => {
  expect(quoteShort('x'.repeat(80))).toBe(`"${'x'.repeat(80)}"`);
  expect(quoteShort('x'.repeat(81))).toBe(`"${'x'.repeat(77)}..."`);
});
