/** An IPv6 address on a host without IPv6 is refused before anything is built. */

import { beforeEach, expect, test, vi } from 'vitest';
import { readSysctl } from '../../../../lib/linux/sysctl.ts';
import { requireIpv6, requireIpv6Mtu } from '../../../../plugins/bridge/ipv6.ts';
import { cidr, configured } from './fixtures.ts';

vi.mock(import('../../../../lib/linux/sysctl.ts'), async (original) => ({
  ...(await original()),
  readSysctl: vi.fn(),
}));

let settings: Record<string, string>;

beforeEach(() => {
  settings = {};
  vi.mocked(readSysctl).mockImplementation((name) => settings[name]);
});

function addressing(...texts: string[]) {
  return { addresses: texts.map((text) => ({ cidr: cidr(text), gateway: undefined })), routes: [], dns: {} };
}

const ALL = 'net/ipv6/conf/all/disable_ipv6';

test('IPv4 needs none, and nothing is looked at', () => {
  requireIpv6(addressing('10.7.0.2/24'), 'cni0');
  expect(readSysctl).not.toHaveBeenCalled();
});

test('a host without IPv6 is named, with the address and both ways out', () => {
  expect(() => requireIpv6(addressing('10.7.0.2/24', 'fd00::2/64'), 'cni0')).toThrow(
    expect.objectContaining({
      code: 7,
      message: 'cannot attach a container with address fd00::2: this host has no IPv6',
      details: expect.stringMatching(/ipv6\.disable=0.*take the IPv6 range out/),
    }),
  );
});

test.each([
  ['all is on', {}, 'cni0', undefined],
  ['it is off for new links', { 'net/ipv6/conf/default/disable_ipv6': '1' }, 'cni0', 'this host'],
  [
    'the bridge has it on',
    { 'net/ipv6/conf/default/disable_ipv6': '1', 'net/ipv6/conf/cni0/disable_ipv6': '0' },
    'cni0',
    undefined,
  ],
  ['the bridge has it off', { 'net/ipv6/conf/cni0/disable_ipv6': '1' }, 'cni0', 'cni0'],
  ['nobody on the host needs it', { 'net/ipv6/conf/default/disable_ipv6': '1' }, undefined, undefined],
])('when %s', (_what, more, holder, where) => {
  settings = { [ALL]: '0', ...more };
  const require = () => requireIpv6(addressing('fd00::2/64'), holder);
  if (where === undefined) expect(require).not.toThrow();
  else expect(require).toThrow(`IPv6 is disabled on ${where}`);
});

test.each([
  [
    1279,
    ['10.7.0.2/24', 'fd00::2/64'],
    'cannot attach a container with address fd00::2: "mtu" is 1279, IPv6 needs 1280',
  ],
  [1280, ['fd00::2/64'], undefined],
  [0, ['fd00::2/64'], undefined],
  [576, ['10.7.0.2/24'], undefined],
])('an MTU of %i with %j', (mtu, addresses, message) => {
  const require = () => requireIpv6Mtu(configured({ mtu }), addressing(...addresses));
  if (message === undefined) expect(require).not.toThrow();
  else expect(require).toThrow(expect.objectContaining({ code: 7, message }));
});
