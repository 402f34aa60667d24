/** The LAN of a world's node, as a bridged network needs it: a router, and a host behind that. */

import { must } from './process.ts';
import type { Namespace, World } from './world.ts';

/** Of the router on the LAN, and of the host behind it. */
export const lan = {
  router: { 4: '192.0.2.254', 6: '2001:db8:ffff::fe' },
  beyond: { 4: '198.51.100.1', 6: '2001:db8:eeee::1' },
} as const;

/** Makes the outside the LAN's router, too. Returns the host behind it. Nobody there has a route to pods. */
export async function buildLan(world: World): Promise<Namespace> {
  const { outside } = world;
  const beyond = await world.pod();
  await outside.run('ip', 'link', 'add', 'far0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', beyond.name);
  await batch(outside, [
    `address add ${lan.router[4]}/24 dev out0`,
    // Deprecated: what the outside itself sends comes from its first address.
    `address add ${lan.router[6]}/64 dev out0 nodad preferred_lft 0`,
    'address add 198.51.100.254/24 dev far0',
    'address add 2001:db8:eeee::fe/64 dev far0 nodad',
    'link set far0 up',
  ]);
  await batch(beyond, [
    `address add ${lan.beyond[4]}/24 dev eth0`,
    `address add ${lan.beyond[6]}/64 dev eth0 nodad`,
    'link set eth0 up',
    'route add 0.0.0.0/0 via 198.51.100.254',
    'route add ::/0 via 2001:db8:eeee::fe',
  ]);
  for (const name of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']) await outside.sysctl(name, 1);
  return beyond;
}

async function batch(namespace: Namespace, lines: readonly string[]): Promise<void> {
  await must(['ip', '-n', namespace.name, '-batch', '-'], { input: lines.map((line) => `${line}\n`).join('') });
}
