import { expect, test } from 'vitest';
import { code } from '../../../../lib/cni/errors.ts';
import { parseResolvConf, readResolvConf } from '../../../../lib/net/resolv-conf.ts';

test('parseResolvConf() reads the four keywords, adding up all but domain', () => {
  const text = [
    '# nameserver 9.9.9.9',
    '; nameserver 9.9.9.8',
    '#nameserver 9.9.9.7',
    ' nameserver\t1.1.1.1 and more',
    'nameserver fd00::1\r',
    'nameserver',
    'domain a.example',
    'domain b.example',
    'search x y',
    'search z',
    'options ndots:2 debug',
    'sortlist 10.0.0.0',
    '',
  ].join('\n');
  expect(parseResolvConf(text)).toEqual({
    nameservers: ['1.1.1.1', 'fd00::1'],
    domain: 'b.example',
    search: ['x', 'y', 'z'],
    options: ['ndots:2', 'debug'],
  });
});

test('parseResolvConf() has no domain where none is set', () => {
  expect(parseResolvConf('')).toEqual({ nameservers: [], search: [], options: [] });
});

test.each([
  { path: '/nowhere/resolv.conf', message: 'cannot read "/nowhere/resolv.conf": no such file or directory' },
  { path: '/dev/zero', message: 'cannot read "/dev/zero": it is no regular file of at most 1 MiB' },
])('readResolvConf() says what is wrong with $path', ({ path, message }) => {
  expect(() => readResolvConf(path)).toThrow(expect.objectContaining({ code: code.ioFailure, message }));
});
