/** loopback: what containerd calls for every pod. */

import { describe, expect, it } from 'vitest';
import { changesSince, dump, NO_CHANGES } from '../support/dump.ts';
import { callPlugin, ours, type PluginCall, reference, succeed } from '../support/plugins.ts';
import { createWorld, type Namespace, type World } from '../support/world.ts';

function call(pod: Namespace, command: string, cniVersion = '1.1.0'): PluginCall {
  return { plugin: 'loopback', command, pod, ifname: 'lo', config: { cniVersion, name: 'lo', type: 'loopback' } };
}

async function down(world: World): Promise<Namespace> {
  const pod = await world.pod();
  await pod.run('ip', 'link', 'set', 'lo', 'down');
  return pod;
}

describe('loopback', () => {
  it('brings lo up with its addresses, which CHECK sees, and takes it down', async () => {
    await using world = await createWorld();
    const pod = await down(world);
    const before = await dump(world);
    const { json } = await succeed(callPlugin(world, call(pod, 'ADD')));
    expect(json).toMatchObject({ ips: [{ address: '127.0.0.1/8' }, { address: '::1/128' }] });
    const prevResult = {
      ...call(pod, 'CHECK'),
      config: { cniVersion: '1.1.0', name: 'lo', type: 'loopback', prevResult: json },
    };
    await succeed(callPlugin(world, prevResult));
    await pod.run('ip', 'link', 'set', 'lo', 'down');
    const broken = await callPlugin(world, prevResult);
    expect(broken.exitCode, broken.said).toBe(1);
    expect(`${broken.json?.msg}`).toMatch(/loopback interface is down/);
    await succeed(callPlugin(world, call(pod, 'ADD')));
    await succeed(callPlugin(world, call(pod, 'DEL')));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('ADD and DEL twice do no harm', async () => {
    await using world = await createWorld();
    const pod = await down(world);
    for (const command of ['ADD', 'ADD', 'DEL', 'DEL']) await succeed(callPlugin(world, call(pod, command)));
  });

  it.each(['', '/run/netns/none'])('DEL succeeds where the namespace is gone (%j)', async (netns) => {
    await using world = await createWorld();
    const pod = await world.pod();
    await succeed(callPlugin(world, { ...call(pod, 'DEL'), netns }));
  });

  it('does not touch the lo of the node', async () => {
    await using world = await createWorld();
    const before = await dump(world);
    const pod = await down(world);
    for (const command of ['ADD', 'DEL']) await succeed(callPlugin(world, call(pod, command)));
    expect(await changesSince(world, before)).toEqual(NO_CHANGES);
  });

  it('hands on prevResult, as the reference does', async () => {
    await using world = await createWorld();
    const pod = await world.pod();
    const prevResult = { cniVersion: '1.0.0', ips: [{ address: '10.7.0.2/24' }], dns: { nameservers: ['10.0.0.1'] } };
    const config = { cniVersion: '1.0.0', name: 'lo', type: 'loopback', prevResult };
    const [mine, theirs] = [ours, reference].map((bin) =>
      succeed(callPlugin(world, { ...call(pod, 'ADD'), bin, config })),
    );
    expect((await mine)?.json).toEqual((await theirs)?.json);
  });
});
