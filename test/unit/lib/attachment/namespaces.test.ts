/** What /proc tells of network namespaces, and when it does not tell all. */

import { expect, test } from 'vitest';
import { parseFibTrie, parseIfInet6, parseMounts, procShowsAll } from '../../../../lib/attachment/namespaces.ts';

const INITIAL = 'pid:[4026531836]';
const proc = (options: string) => `22 27 0:21 / /proc rw,relatime shared:5 - proc proc ${options}\n`;

test.each([
  ['rw', true],
  ['rw,hidepid=0', true],
  ['rw,hidepid=off', true],
  ['rw,hidepid=2', false],
  ['rw,hidepid=invisible,gid=5', false],
  ['rw,subset=pid', false],
])('procShowsAll() of a /proc with %s is %s', (options, expected) => {
  expect(procShowsAll(proc(options), INITIAL)).toBe(expected);
});

test('procShowsAll() is false in another pid namespace, without /proc, and when the last mount over it is another', () => {
  expect(procShowsAll(proc('rw'), 'pid:[4026532000]')).toBe(false);
  expect(procShowsAll('1 1 0:1 / / rw - ext4 /dev/vda rw\n', INITIAL)).toBe(false);
  expect(procShowsAll(`${proc('rw')}30 22 0:30 / /proc rw - tmpfs tmpfs rw\n`, INITIAL)).toBe(false);
});

test('parseMounts() finds mounted network namespaces, whatever their path', () => {
  const mountinfo = [
    '1 2 0:4 net:[4026532001] /run/netns/a rw shared:1 - nsfs nsfs rw',
    '1 2 0:4 net:[4026532002] /run/with\\040space rw - nsfs nsfs rw',
    '1 2 0:4 mnt:[4026532003] /run/mnt rw - nsfs nsfs rw',
    '1 2 8:1 / / rw - ext4 /dev/vda rw',
    '',
  ].join('\n');
  expect(parseMounts(mountinfo)).toEqual([
    ['net:[4026532001]', '/run/netns/a'],
    ['net:[4026532002]', '/run/with space'],
  ]);
});

test('parseFibTrie() takes the addresses that are local, not routes and broadcasts', () => {
  const text = `Local:
  +-- 10.1.0.0/24 2 0 2
     |-- 10.1.0.0
        /24 link UNICAST
     |-- 10.1.0.5
        /32 host LOCAL
     |-- 10.1.0.255
        /32 link BROADCAST
     |-- 127.0.0.1
        /32 host LOCAL
`;
  expect(parseFibTrie(text)).toEqual(['10.1.0.5', '127.0.0.1']);
});

test('parseIfInet6() takes every address in canonical form', () => {
  const text = [
    'fd000007000000000000000000000002 02 40 00 80     eth0',
    'fe800000000000000011aafffebbccdd 02 40 20 80     eth0',
    '',
  ].join('\n');
  expect(parseIfInet6(text)).toEqual(['fd00:7::2', 'fe80::11:aaff:febb:ccdd']);
});
