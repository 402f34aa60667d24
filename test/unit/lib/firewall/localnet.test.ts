/** What goes with the last one that needs packets from 127.0.0.1 let through. */

import { expect, test } from 'vitest';
import type { LocalnetUser } from '../../../../lib/attachment/port-registry.ts';
import { needless } from '../../../../lib/firewall/localnet.ts';

const user = (over: Partial<LocalnetUser> = {}): LocalnetUser => ({
  link: 'cni0',
  wasOpen: false,
  backend: 'iptables',
  ...over,
});

test.each<[string, LocalnetUser[], LocalnetUser[], ReturnType<typeof needless>]>([
  ['nobody', [], [user()], { backends: [], links: [] }],
  ['one of two', [user()], [user()], { backends: [], links: [] }],
  ['the last one', [user()], [], { backends: ['iptables'], links: ['cni0'] }],
  ['the last one of its link', [user()], [user({ link: 'cni1' })], { backends: [], links: ['cni0'] }],
  ['the last one of its firewall', [user()], [user({ backend: 'nftables' })], { backends: ['iptables'], links: [] }],
  [
    'the last one, on a link that was open before',
    [user({ wasOpen: true })],
    [],
    { backends: ['iptables'], links: [] },
  ],
])('with %s', (_, gone, left, expected) => {
  expect(needless(gone, left)).toEqual(expected);
});
