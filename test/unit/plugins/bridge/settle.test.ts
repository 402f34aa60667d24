/** Addresses that the kernel still asks about, by /proc/net/if_inet6. */

import { readFileSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import type { Netns } from '../../../../lib/linux/netns.ts';
import { parseUnsettled, settleAddresses } from '../../../../plugins/bridge/settle.ts';

vi.mock(import('node:fs'), async (original) => ({ ...(await original()), readFileSync: vi.fn() as never }));
const netns: Netns = { fdPath: '', run: (action) => action(), [Symbol.dispose]: () => {} };

const line = (address: string, flags: string, name = 'eth0') => `${address} 05 40 00 ${flags}     ${name}\n`;
const ADDRESS = 'fd000007000000000000000000000002';

test.each([
  ['settled', line(ADDRESS, '80'), []],
  ['tentative', line(ADDRESS, 'c0'), [{ hex: ADDRESS, isDuplicate: false }]],
  ['a duplicate', line(ADDRESS, 'c8'), [{ hex: ADDRESS, isDuplicate: true }]],
  ['of another link', line(ADDRESS, 'c0', 'eth1'), []],
  ['nowhere', '', []],
])('parseUnsettled() of one that is %s', (_what, text, expected) => {
  expect(parseUnsettled(text, 'eth0')).toEqual(expected);
});

test('settleAddresses() looks until all may be used', async () => {
  const read = vi.mocked(readFileSync).mockReturnValueOnce(line(ADDRESS, '40')).mockReturnValue(line(ADDRESS, '00'));
  await settleAddresses(netns, 'eth0');
  expect(read).toHaveBeenCalledTimes(2);
});

test('settleAddresses() names an address that another host has', async () => {
  vi.mocked(readFileSync).mockReturnValue(line(ADDRESS, '48'));
  await expect(settleAddresses(netns, 'eth0')).rejects.toMatchObject({
    code: 101,
    message: 'link eth0 has address fd00:0007:0000:0000:0000:0000:0000:0002 in DADFAILED state',
  });
});
