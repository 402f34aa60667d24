/**
 * A reboot of the node as far as plugins can tell: another boot id, an empty /run, another network namespace without
 * links and rules, no pods; /var/lib/cni and the world's files stay. For the private mount namespace of `make test`.
 */

import { readdirSync, rmSync } from 'node:fs';
import { over } from './lease-state.ts';
import { exec, must } from './process.ts';
import { addresses, type World } from './world.ts';

/** What the tests have in /run themselves. */
const KEPT = ['netns', 'nodecni-test', 'layers'];

let boots = 0;

/** The former boot is back when the result is disposed of. */
export async function reboot(world: World): Promise<AsyncDisposable> {
  await replaceNamespaces(world);
  for (const name of readdirSync('/run')) {
    if (!KEPT.includes(name)) rmSync(`/run/${name}`, { recursive: true, force: true });
  }
  boots += 1;
  return over(world, '/proc/sys/kernel/random/boot_id', `00000000-0000-4000-8000-${String(boots).padStart(12, '0')}`);
}

/** Pods end. The node's namespace is a new one at the same path, with the same wire to the outside. */
async function replaceNamespaces({ node, outside, pods }: World): Promise<void> {
  for (const namespace of [node, ...pods]) namespace[Symbol.dispose]();
  // A namespace ends a little later than its name does: the wire's name has to be free at once.
  await must(['ip', '-n', outside.name, 'link', 'del', 'out0']);
  const input = [
    ...[...pods, node].map(({ name }) => `netns del ${name}`),
    `netns add ${node.name}`,
    `link add name up0 netns ${node.name} type veth peer name out0 netns ${outside.name}`,
  ];
  // The test may have ended some of the pods itself: -force goes on.
  await exec(['ip', '-force', '-batch', '-'], { input: `${input.join('\n')}\n` });
  await setUp(node.name, 'up0', addresses.node);
  await setUp(outside.name, 'out0', addresses.outside);
}

async function setUp(namespace: string, link: string, own: { 4: string; 6: string }): Promise<void> {
  const lines = [
    `link set ${link} addrgenmode none`,
    `address add ${own[4]}/24 dev ${link}`,
    `address add ${own[6]}/64 dev ${link} nodad`,
    'link set lo up',
    `link set ${link} up`,
  ];
  await must(['ip', '-n', namespace, '-batch', '-'], { input: lines.join('\n') });
}
