/** Rules as text: quoting, reading back, comparing. */

import { describe, expect, test } from 'vitest';
import { comment, includesRule, optionOf, sameRule, word, words } from '../../../../lib/iptables/rule.ts';

describe('word()', () => {
  test.each([
    ['tcp', 'tcp'],
    ['192.0.2.0/24', '192.0.2.0/24'],
    ['!', '"!"'],
    ['two words', '"two words"'],
    ['say "hi" \\', '"say \\"hi\\" \\\\"'],
  ])('writes %s as %s and reads it back', (text, written) => {
    expect(word(text)).toBe(written);
    expect(words(written)).toEqual([text]);
  });

  test.each(['a\nCOMMIT', 'a\r', 'a\0'])('refuses what would end a rule: %j', (text) => {
    expect(() => word(text)).toThrow(RangeError);
  });
});

test('comment() cuts at the 255 bytes that the kernel takes', () => {
  expect(words(comment('x'.repeat(255)))[3]).toBe('x'.repeat(255));
  expect(words(comment('x'.repeat(256)))[3]).toBe('x'.repeat(255));
});

describe('sameRule()', () => {
  const rule =
    '! -d 192.168.0.0/16 -i eth7 -p tcp -m comment --comment "dnat name: \\"a\\"" -m multiport --dports 1 -j X';

  test('does not care for the order of options', () => {
    expect(
      sameRule(
        rule,
        '-p tcp -m comment --comment "dnat name: \\"a\\"" -m multiport --dports 1 "!" -d 192.168.0.0/16 -i eth7 -j X',
      ),
    ).toBe(false);
    expect(
      sameRule(
        rule,
        '-p tcp -m comment --comment "dnat name: \\"a\\"" -m multiport --dports 1 ! -d 192.168.0.0/16 -i eth7 -j X',
      ),
    ).toBe(true);
  });

  test.each([
    ['-s 10.0.0.1/32 -d 10.0.0.2/32 -j X', '-s 10.0.0.2/32 -d 10.0.0.1/32 -j X'],
    ['! -s 10.0.0.1/32 -d 10.0.0.2/32 -j X', '-s 10.0.0.1/32 ! -d 10.0.0.2/32 -j X'],
    ['-p tcp --dport 80 -j X', '-p tcp --dport 81 -j X'],
    ['-p tcp --dport 80 -j X', '-p tcp -j X'],
    ['-p tcp -j X', '-p tcp -p tcp -j X'],
  ])('tells %s from %s', (one, two) => {
    expect(sameRule(one, two)).toBe(false);
  });
});

test.each([
  ['-p tcp -j X', true],
  ['-j X', true],
  ['-p udp -j X', false],
  ['! -d 10.0.0.0/8 -j X', true],
  ['-d 10.0.0.0/8 -j X', false],
])('includesRule() of %s: %s', (part, expected) => {
  expect(includesRule('! -d 10.0.0.0/8 -p tcp -m tcp --dport 80 -j X', part)).toBe(expected);
});

test('optionOf() reads the value of an option, not of its negation', () => {
  const rule = '! -d 10.0.0.0/8 -p tcp -m comment --comment "-j none" -j X';
  expect(optionOf(rule, '-p')).toBe('tcp');
  expect(optionOf(rule, '-d')).toBeUndefined();
  expect(optionOf(rule, '-j')).toBe('X');
  expect(optionOf(rule, '--dport')).toBeUndefined();
});
