import { expect, test } from 'vitest';
import { linkNames, parseLinkNames } from '../../../../lib/linux/links.ts';

const HEADING = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
`;

test('parseLinkNames() reads the first column, however wide', () => {
  const text = `${HEADING}    lo: 1200 10 0 0 0 0 0 0 1200 10 0 0 0 0 0 0
veth1234567890a:99999999 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0
eth0.5@x: 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
`;
  expect([...parseLinkNames(text)]).toEqual(['lo', 'veth1234567890a', 'eth0.5@x']);
});

test('parseLinkNames() knows no link in an empty table', () => {
  expect([...parseLinkNames(HEADING)]).toEqual([]);
});

test('linkNames() sees the lo of this namespace', () => {
  expect(linkNames()).toContain('lo');
});
