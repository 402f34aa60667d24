/** Reading settings of the running kernel; nothing is written (a value that is right already is left alone). */

import { expect, test } from 'vitest';
import { type CniError, code } from '../../../../lib/cni/errors.ts';
import { readSysctl, writeSysctl } from '../../../../lib/linux/sysctl.ts';

test('readSysctl() reads a value without its line end', () => {
  expect(readSysctl('kernel/ostype')).toBe('Linux');
});

test('readSysctl() of a setting that does not exist', () => {
  expect(readSysctl('net/ipv4/conf/nosuchif0.5/forwarding')).toBeUndefined();
});

test('writeSysctl() leaves a right value alone, even one that cannot be written', () => {
  expect(writeSysctl('kernel/ostype', 'Linux')).toBe(false);
});

test('writeSysctl() says which sysctl could not be set', () => {
  const attempt = () => writeSysctl('net/ipv4/conf/nosuchif0/forwarding', '1');
  expect(attempt).toThrow(/cannot set to "1" the sysctl "net\/ipv4\/conf\/nosuchif0\/forwarding"/);
});

test.each(['../etc/passwd', 'net//x', '/net', 'net/./x', 'net/\0', ''])('%j is no name of a sysctl', (name) => {
  expect(() => readSysctl(name)).toThrow(expect.objectContaining({ code: code.invalidConfig }) as CniError);
});
