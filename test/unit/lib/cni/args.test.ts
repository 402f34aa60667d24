/** CNI_ARGS, with the reference's strictness. */

import { describe, expect, test } from 'vitest';
import { parseArgs } from '../../../../lib/cni/args.ts';
import { CniError, code } from '../../../../lib/cni/errors.ts';

describe('parseArgs() reads', () => {
  test.each([
    ['', {}],
    ['MAC=02:00:00:00:00:01', { MAC: '02:00:00:00:00:01' }],
    ['MAC=a;MAC=b', { MAC: 'b' }],
    ['MAC=', { MAC: '' }],
    ['IgnoreUnknown=1;K8S_POD_NAME=web-0;MAC=a', { MAC: 'a' }],
    ['K8S_POD_NAME=web-0;IgnoreUnknown=TRUE', {}],
    ['mac=a;IgnoreUnknown=true', {}],
    ['IgnoreUnknown=0;MAC=a', { MAC: 'a' }],
    ['IgnoreUnknown=false;IgnoreUnknown=1;X=1', {}],
  ])('%j', (text, expected) => {
    expect(parseArgs(text, ['MAC'])).toEqual(expected);
  });
});

describe('parseArgs() refuses', () => {
  test.each([
    ['MAC', 'ARGS: invalid pair "MAC"'],
    ['MAC=a;', 'ARGS: invalid pair ""'],
    ['IgnoreUnknown=1;MAC=a;', 'ARGS: invalid pair ""'],
    ['MAC=a=b', 'ARGS: invalid pair "MAC=a=b"'],
    ['IP=10.0.0.1', 'ARGS: unknown args ["IP=10.0.0.1"]'],
    ['IP=1;mac=2', 'ARGS: unknown args ["IP=1" "mac=2"]'],
    ['IP=1;IgnoreUnknown=0', 'ARGS: unknown args ["IP=1"]'],
    ['IP=1;IgnoreUnknown=1;IgnoreUnknown=0', 'ARGS: unknown args ["IP=1"]'],
    ['ignoreunknown=1', 'ARGS: unknown args ["ignoreunknown=1"]'],
    ['IgnoreUnknown=yes', 'ARGS: error parsing value of pair "IgnoreUnknown=yes": not a boolean'],
    ['IgnoreUnknown=1;IgnoreUnknown=yes', 'ARGS: error parsing value of pair "IgnoreUnknown=yes": not a boolean'],
  ])('%j', (text, message) => {
    const call = () => parseArgs(text, ['MAC']);
    expect(call).toThrow(CniError);
    expect(call).toThrow(expect.objectContaining({ code: code.invalidEnvironment, message }));
  });
});
