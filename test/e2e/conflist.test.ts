/** Every ready-to-use network of conflist/, as it stands there, through its whole life. Flannel's: ./flannel/. */

import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import { bothProtocols, type Conflist } from '../support/networks.ts';
import { addressesOf, chain, repository, succeed } from '../support/plugins.ts';
import { addresses, createWorld } from '../support/world.ts';

const files = readdirSync(`${repository}/conflist`).filter((name) => /(?<!flannel)\.conflist$/.test(name));
const PORT = 80;
const HOST_PORT = 8080;

it.each(files)('%s works', async (file) => {
  const conflist = JSON.parse(readFileSync(`${repository}/conflist/${file}`, 'utf8')) as Conflist;
  const hasBridge = conflist.plugins.some(({ type }) => type === 'bridge');
  await using world = await createWorld();
  await world.outside.agent.listen('outside', PORT);
  const pods = [await world.pod(), await world.pod()];
  const before = await dump(world);
  const ifname = hasBridge ? 'eth0' : 'lo';
  const found: string[][] = [];
  for (const [index, pod] of pods.entries()) {
    const ports = bothProtocols(HOST_PORT + index, PORT);
    await pod.agent.listen(`pod${index}`, PORT);
    const { json } = await succeed(chain(world, 'add', { conflist, pod, ports, ifname }));
    found.push(addressesOf(json));
    await succeed(chain(world, 'check', { conflist, pod, ports, ifname }));
    await succeed(chain(world, 'status', { conflist, pod }));
  }
  const [first, second] = pods;
  for (const [index, address] of (hasBridge ? (found[1] ?? []) : []).entries()) {
    const family = address.includes(':') ? 6 : 4;
    expect(await first?.agent.ask({ protocol: 'tcp', host: address, port: PORT })).toEqual({
      name: 'pod1',
      seen: found[0]?.[index],
    });
    const outside = { protocol: 'tcp', host: addresses.outside[family], port: PORT } as const;
    expect(await first?.agent.ask(outside)).toEqual({ name: 'outside', seen: addresses.node[family] });
    const mapped = { protocol: 'tcp', host: addresses.node[family], port: HOST_PORT + 1 } as const;
    for (const from of [world.outside, world.node, first, second]) {
      expect(await from?.agent.ask(mapped)).toMatchObject({ name: 'pod1' });
    }
  }
  for (const pod of pods) await succeed(chain(world, 'del', { conflist, pod, ifname }));
  if (!hasBridge) for (const pod of pods) await pod.run('ip', 'link', 'set', 'lo', 'up');
  expect(await changesSince(world, before)).toEqual(NO_CHANGES);
});
