/** Scripts for nft: exactly what was asked for, and nothing that a value smuggles in. */

import { describe, expect, test } from 'vitest';
import { comment, isRuleText, NftTransaction } from '../../../../lib/nft/transaction.ts';

test('a transaction is its lines, in order', () => {
  const transaction = new NftTransaction('ip cni_hostport')
    .addTable('CNI portmap plugin')
    .addChain('hostports')
    .addChain('prerouting', { hook: 'type nat hook prerouting priority -100' })
    .addChain('checks', { comment: 'for people' })
    .flushChain('prerouting')
    .addRule('prerouting', 'jump hostports')
    .addRule('hostports', 'tcp dport 8080 dnat to 10.88.0.5:80', '1234')
    .deleteRule({ chain: 'hostports', handle: 7 });
  expect(transaction.toString()).toBe(`\
add table ip cni_hostport { comment "CNI portmap plugin" ; }
add chain ip cni_hostport hostports
add chain ip cni_hostport prerouting { type nat hook prerouting priority -100 ; }
add chain ip cni_hostport checks { comment "for people" ; }
flush chain ip cni_hostport prerouting
add rule ip cni_hostport prerouting jump hostports
add rule ip cni_hostport hostports tcp dport 8080 dnat to 10.88.0.5:80 comment "1234"
delete rule ip cni_hostport hostports handle 7
`);
});

test('a table needs no comment; chains may be made only once, and dropped where they are not', () => {
  const transaction = new NftTransaction('bridge nat').addTable().createChain('one').dropChains(['one', 'two']);
  expect(transaction.toString()).toBe(`\
add table bridge nat
create chain bridge nat one
add chain bridge nat one
add chain bridge nat two
flush chain bridge nat one
flush chain bridge nat two
delete chain bridge nat one
delete chain bridge nat two
`);
});

test('without lines it is empty', () => {
  expect(String(new NftTransaction('ip cni_hostport'))).toBe('');
});

test.each([
  ['tcp dport 80', true],
  ['iifname "eth0 x" ip daddr != { 10.0.0.0/8, 10.1.2.3 }', true],
  ['iifname "{"', true],
  ['', true],
  ['tcp dport 80\nflush ruleset', false],
  ['tcp dport 80; flush ruleset', false],
  ['tcp dport 80 # ', false],
  ['tcp dport 80 \\', false],
  ['iifname "eth0', false],
  ['ip daddr { 10.0.0.1', false],
  ['ip daddr 10.0.0.1 }', false],
])('isRuleText(%j) is %s', (text, expected) => {
  expect(isRuleText(text)).toBe(expected);
  const add = () => new NftTransaction('ip t').addRule('c', text);
  if (expected) expect(add).not.toThrow();
  else expect(add).toThrow(RangeError);
});

describe('comment()', () => {
  test('has no quotes and no more than nft takes', () => {
    expect(comment('net: "x"')).toBe('net: x');
    expect(comment('a'.repeat(200))).toHaveLength(128);
  });

  test('stays on its line', () => {
    expect(() => comment('a\nflush ruleset')).toThrow(RangeError);
  });
});
