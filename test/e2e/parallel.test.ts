/** A node that starts many pods at once, the first of them among them. */

import { expect, it } from 'vitest';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import { bothProtocols, stackNetwork } from '../support/networks.ts';
import { addressesOf, chain, leases, succeed } from '../support/plugins.ts';
import { addresses, createWorld, type Namespace, type World } from '../support/world.ts';

const PODS = 50;
const ROUNDS = ['iptables', 'iptables', 'iptables', 'iptables', 'nftables', 'nftables'];

it.each(ROUNDS)(
  `attaches ${PODS} pods at once where there is no bridge yet, and detaches them at once (%s)`,
  async (backend) => {
    await using world = await createWorld();
    const pods = await createPods(world);
    const conflist = stackNetwork(world, [4, 6], { bridge: { ipMasqBackend: backend }, portmap: { backend } });
    const before = await dump(world);
    const portsOf = (pod: Namespace) => bothProtocols(8000 + pods.indexOf(pod), 80);

    const added = await Promise.all(
      pods.map((pod) => succeed(chain(world, 'add', { conflist, pod, ports: portsOf(pod) }))),
    );
    const found = added.flatMap(({ json }) => addressesOf(json));
    expect(new Set(found).size).toBe(2 * PODS);
    expect(Object.keys(leases(world)).sort()).toEqual(found.sort());
    await Promise.all(pods.map((pod) => succeed(chain(world, 'check', { conflist, pod, ports: portsOf(pod) }))));
    await expectServed(world, pods);

    await Promise.all(pods.map((pod) => succeed(chain(world, 'del', { conflist, pod, ports: portsOf(pod) }))));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  },
);

async function createPods(world: World): Promise<Namespace[]> {
  const pods: Namespace[] = [];
  for (let count = 0; count < PODS; count += 1) pods.push(await world.pod());
  return pods;
}

/** One of them speaks for all: each pod's server would be a process of its own. */
async function expectServed(world: World, pods: readonly Namespace[]): Promise<void> {
  const last = pods.at(-1);
  if (last === undefined) throw new Error('no pods');
  await last.agent.listen('last', 80);
  for (const family of [4, 6] as const) {
    const question = { protocol: 'tcp', host: addresses.node[family], port: 8000 + PODS - 1 } as const;
    expect(await world.outside.agent.ask(question)).toEqual({ name: 'last', seen: addresses.outside[family] });
  }
}
