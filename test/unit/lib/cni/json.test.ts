/** JSON as Go reads and writes it. */

import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { CniError, code } from '../../../../lib/cni/errors.ts';
import { decode, encode, encodeCompact } from '../../../../lib/cni/json.ts';

test('encode() indents by four spaces, escapes HTML as Go does, and ends without a newline', () => {
  expect(encode({ a: '<b> & \u2028\u2029 "ä"', list: [], none: {}, n: [1] })).toBe(
    [
      '{',
      '    "a": "\\u003cb\\u003e \\u0026 \\u2028\\u2029 \\"ä\\"",',
      '    "list": [],',
      '    "none": {},',
      '    "n": [',
      '        1',
      '    ]',
      '}',
    ].join('\n'),
  );
  expect(encodeCompact({ a: '<', b: [1, 2] })).toBe('{"a":"\\u003c","b":[1,2]}');
});

const schema = z.object({
  mtu: z._default(z.int().check(z.minimum(0), z.maximum(9000)), 1),
  isGateway: z._default(z.boolean(), false),
  name: z.optional(z.string()),
  list: z.optional(z.array(z.object({ minID: z.optional(z.number()) }))),
  nested: z.optional(z.object({ deepKey: z.optional(z.string()) })),
  kind: z.optional(z.enum(['tcp', 'udp'])),
  path: z.optional(z.string().check(z.regex(/^\//))),
  even: z.optional(z.int().check(z.refine((number) => number % 2 === 0, 'is odd'))),
});

describe('decode() takes', () => {
  const defaults = { mtu: 1, isGateway: false };
  test.each([
    ['{}', defaults],
    ['{"MTU":5,"isgateway":true}', { mtu: 5, isGateway: true }],
    ['{"mtu":5,"MTU":6}', { ...defaults, mtu: 6 }],
    ['{"MTU":5,"mtu":6}', { ...defaults, mtu: 6 }],
    ['{"mtu":5,"mtu":6}', { ...defaults, mtu: 6 }],
    ['{"mtu":null,"name":null,"nested":null}', defaults],
    ['{"mtu":5,"MTU":null}', { ...defaults, mtu: 5 }],
    [
      '{"nested":{"DEEPKEY":"x"},"list":[{"MinId":1},{}]}',
      { ...defaults, nested: { deepKey: 'x' }, list: [{ minID: 1 }, {}] },
    ],
    ['{"unknown":1,"__proto__":{"mtu":7},"constructor":2}', defaults],
  ])('%s', (text, expected) => {
    expect(decode(schema, JSON.parse(text), 'config')).toEqual(expected);
  });
});

describe('decode() says what is wrong, where', () => {
  test.each([
    ['{"mtu":"5"}', '"mtu": must be a number, not "5"'],
    ['{"mtu":1.5}', '"mtu": must be a whole number, not 1.5'],
    ['{"mtu":-1}', '"mtu": must be at least 0, not -1'],
    ['{"MTU":9001}', '"mtu": must be at most 9000, not 9001'],
    ['{"isGateway":"true"}', '"isGateway": must be true or false, not "true"'],
    ['{"isGateway":1}', '"isGateway": must be true or false, not 1'],
    ['{"name":["x"]}', '"name": must be a string, not ["x"]'],
    ['{"list":{}}', '"list": must be a list, not {}'],
    ['{"list":[{"minID":1},{"minID":"x"}]}', '"list[1].minID": must be a number, not "x"'],
    ['{"nested":[]}', '"nested": must be an object, not []'],
    ['{"kind":"icmp"}', '"kind": must be "tcp" or "udp", not "icmp"'],
    ['{"path":"x"}', '"path": "x" has the wrong form'],
    ['{"even":3}', '"even": is odd'],
    ['{"mtu":"x","name":1}', '"mtu": must be a number, not "x"; "name": must be a string, not 1'],
    ['[]', 'must be an object, not []'],
    ['null', 'must be an object, not null'],
    [`{"mtu":"${'x'.repeat(100)}"}`, `"mtu": must be a number, not "${'x'.repeat(76)}...`],
  ])('%s', (text, message) => {
    const call = () => decode(schema, JSON.parse(text), 'config');
    expect(call).toThrow(CniError);
    expect(call).toThrow(expect.objectContaining({ code: code.invalidConfig, message: `invalid config: ${message}` }));
  });

  test('a missing key', () => {
    expect(() => decode(z.object({ name: z.string() }), {}, 'config')).toThrow('invalid config: "name": is missing');
  });
});
