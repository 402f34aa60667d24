/** Every ready-to-use network of conflist/, as it stands there, through its whole life: who reaches whom on it. Flannel's: ./flannel/. */

import { readdirSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { setBridgeNetfilter } from '../support/bridge-netfilter.ts';
import { readShipped, SHIPPED, withIpv6 } from '../support/conflists.ts';
import { changesSince, type Dump, dump, NO_CHANGES } from '../support/dump.ts';
import { chain, repository, succeed } from '../support/plugins.ts';
import { measure, type Scene, SERVICE } from '../support/reach.ts';
import { attachGuests, buildStage, eachGuest, type Stage } from '../support/stage.ts';
import { addresses, createWorld } from '../support/world.ts';

it('measures every file', () => {
  const files = readdirSync(`${repository}/conflist`).filter((name) => /(?<!flannel)\.conflist$/.test(name));
  expect([...SHIPPED.map(({ file }) => `${file}.conflist`), '99-loopback.conflist']).toEqual(files.sort());
});

describe.each(SHIPPED)('$file', ({ file, reach, withoutBridgeNetfilter, opensToRoutes, ipv6, asked }) => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await buildStage(file);
  });

  afterAll(() => stage?.[Symbol.asyncDispose]());

  const conflist = readShipped(file);
  const variants = [
    { variant: 'as it stands', network: conflist },
    ...(ipv6 === undefined ? [] : [{ variant: 'with IPv6 beside', network: withIpv6(conflist, ipv6) }]),
  ];

  describe.each(variants)('$variant', ({ network }) => {
    let before: Dump;
    let scene: Scene;

    it('attaches two guests', async () => {
      const { world, pods } = stage;
      before = await dump(world);
      await setBridgeNetfilter(world.node, 1);
      scene = await attachGuests(stage, network, asked);
      for (const [index, { ips = [], args }] of (asked ?? []).entries()) {
        expect(scene.guests[index]?.addresses[4]).toEqual(expect.arrayContaining([...ips, ...addressesIn(args)]));
      }
      await succeed(chain(world, 'status', { conflist: network, pod: pods[0] }));
    });

    it('lets through what it should, and nothing else', async () => {
      const { measured, expected } = await measure(scene, reach);
      expect(measured).toEqual(expected);
    });

    it('does so where bridged packets do not pass iptables', async () => {
      await setBridgeNetfilter(stage.world.node, 0);
      const { measured, expected } = await measure(scene, { ...reach, ...withoutBridgeNetfilter });
      expect(measured).toEqual(expected);
    });

    it(`${opensToRoutes ? 'opens' : 'does not open'} to a neighbour that has a route through the node`, async () => {
      const { outside } = stage.world;
      for (const family of scene.families) {
        const [host = ''] = scene.guests[0].addresses[family];
        await outside.run('ip', 'route', 'add', host, 'via', addresses.node[family]);
        const timeoutMs = opensToRoutes ? 10_000 : 700;
        const answer = outside.agent.ask({ protocol: 'tcp', host, port: SERVICE, timeoutMs });
        if (opensToRoutes) expect(await answer).toMatchObject({ name: 'guest1' });
        else await expect(answer).rejects.toThrow('no answer');
        await outside.run('ip', 'route', 'del', host);
      }
    });

    it('is found whole by CHECK, and leaves nothing', async () => {
      await eachGuest(stage, 'check', network);
      await eachGuest(stage, 'del', network);
      expect(await changesSince(stage.world, before)).toEqual(NO_CHANGES);
    });
  });
});

it('99-loopback brings lo up', async () => {
  await using world = await createWorld();
  const pod = await world.pod();
  await pod.run('ip', 'link', 'set', 'lo', 'down');
  const call = { conflist: readShipped('99-loopback'), pod, ifname: 'lo' };
  const isUp = async () => (await pod.ip<{ flags: string[] }>('link', 'show', 'lo'))[0]?.flags.includes('UP');
  const before = await dump(world);
  await succeed(chain(world, 'add', call));
  expect(await isUp()).toBe(true);
  await succeed(chain(world, 'check', call));
  await succeed(chain(world, 'status', call));
  await succeed(chain(world, 'del', call));
  expect(await changesSince(world, before)).toEqual(NO_CHANGES);
});

/** What CNI_ARGS asks for. */
function addressesIn(args = ''): readonly string[] {
  return args.match(/(?<=IP=)[^;]*/g) ?? [];
}
