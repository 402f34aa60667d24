/** What happens to a cluster in its life: flanneld dies, a node reboots, subnet and MTU change. */

import { readdirSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import { killPods } from '../../support/attach.ts';
import { Cluster, type CniOptions, type Node, type Pod } from '../../support/cluster.ts';
import type { JsonObject } from '../../support/networks.ts';
import { until } from '../../support/process.ts';
import type { Namespace } from '../../support/world.ts';

const VXLAN: JsonObject = { Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } };
const PORT = 80;
const HOST_PORT = 8080;
const PATIENT_MS = 10_000;

let cluster: Cluster;

beforeEach(({ onTestFailed }) => {
  onTestFailed(() => void process.stderr.write(cluster.logs()));
});

async function createCluster(): Promise<Cluster> {
  cluster = new Cluster();
  await cluster.start(VXLAN);
  await cluster.untilJoined([4]);
  return cluster;
}

async function addListening(node: Node, options?: CniOptions): Promise<Pod> {
  const pod = await cluster.addPod(node, options);
  await pod.namespace.agent.listen(pod.namespace.name, PORT);
  return pod;
}

/** Both ways, each by the address that the other one sees. */
async function expectTalk(one: Pod, other: Pod): Promise<void> {
  for (const [from, to] of [[one, other] as const, [other, one] as const]) {
    for (const protocol of ['tcp', 'udp'] as const) {
      const question = { protocol, host: to.address[4], port: PORT, timeoutMs: PATIENT_MS };
      const answer = { name: to.namespace.name, seen: from.address[4] };
      expect(await from.namespace.agent.ask(question)).toEqual(answer);
    }
  }
}

/** Addresses that are leased on the node, by its disk. */
function leasesOn(node: Node): string[] {
  return readdirSync(`${node.folder}/lib/networks/cbr0`).filter((name) => /^\d+\.\d+\.\d+\.\d+$/.test(name));
}

function statesOn(node: Node): string[] {
  return readdirSync(`${node.folder}/lib/flannel`);
}

async function mtuOf(namespace: Namespace, ...which: string[]): Promise<(number | undefined)[]> {
  const links = await namespace.ip<{ mtu: number }>('link', 'show', ...which);
  return links.map(({ mtu }) => mtu);
}

describe('flanneld', () => {
  it('is killed and comes back: pods keep talking, the subnet stays', async () => {
    await using _ = await createCluster();
    const [a, b] = cluster.nodes;
    const [one, other] = [await addListening(a), await addListening(b)];
    const before = await a.subnetEnv();
    await expectTalk(one, other);
    for (const node of [a, b]) await node.endFlanneld('SIGKILL');
    await expectTalk(one, other);
    const meanwhile = await addListening(a);
    await expectTalk(meanwhile, other);
    for (const node of [a, b]) await node.startFlanneld();
    await cluster.untilJoined([4]);
    expect(await a.subnetEnv()).toEqual(before);
    await expectTalk(one, other);
    await expectTalk(await addListening(b), meanwhile);
  });

  it('has not come up yet: STATUS and ADD say so, and what to do', async () => {
    cluster = new Cluster();
    await using _ = cluster;
    await cluster.start(VXLAN);
    const [a] = cluster.nodes;
    const namespace = await cluster.newNamespace();
    await a.run('/usr/bin/mv', '/run/flannel/subnet.env', '/run/flannel/elsewhere');
    const status = await a.cni('status', namespace, { cniVersion: '1.1.0' });
    expect(status.said).toContain("failed to load flannel 'subnet.env' file: open /run/flannel/subnet.env");
    expect(status.exitCode).toBe(1);
    const added = await a.cni('add', namespace);
    expect(added.said).toContain('flanneld writes this file');
    expect(added.exitCode).toBe(1);
    expect(readdirSync(`${a.folder}/lib`).filter((name) => name === 'flannel')).toEqual([]);
    await a.run('/usr/bin/mv', '/run/flannel/elsewhere', '/run/flannel/subnet.env');
    expect((await a.cni('status', namespace, { cniVersion: '1.1.0' })).said).toContain('status 0');
  });
});

describe('a node', () => {
  it('reboots: leases of before come back by themselves, late DELs do no harm, pods are reached as before', async () => {
    await using _ = await createCluster();
    const [a, b] = cluster.nodes;
    const peer = await addListening(a);
    const ports = [{ hostPort: HOST_PORT, containerPort: PORT, protocol: 'tcp' }];
    const lost = [await addListening(b, { ports }), await addListening(b), await addListening(b)];
    const subnet = (await b.subnetEnv()).FLANNEL_SUBNET;
    await b.stop();
    await killPods(lost.map(({ namespace }) => namespace));
    expect(leasesOn(b)).toHaveLength(3);
    await cluster.boot(b);
    await cluster.untilJoined([4]);
    expect((await b.subnetEnv()).FLANNEL_SUBNET).toBe(subnet);
    const fresh = await addListening(b, { ports });
    expect(leasesOn(b)).toEqual([fresh.address[4]]);
    for (const pod of lost) expect((await b.del(pod)).said).toContain('status 0');
    expect(leasesOn(b)).toEqual([fresh.address[4]]);
    expect(statesOn(b)).toHaveLength(1);
    await expectTalk(peer, fresh);
    const question = { protocol: 'tcp', host: b.address[4], port: HOST_PORT, timeoutMs: PATIENT_MS } as const;
    expect(await cluster.outside.agent.ask(question)).toMatchObject({ name: fresh.namespace.name });
    expect((await b.del(fresh)).said).toContain('status 0');
    expect([...leasesOn(b), ...statesOn(b)]).toEqual([]);
  });

  it('is given another subnet and MTU: new pods get them, an idle bridge heals, with living pods it says what to do', async () => {
    await using _ = await createCluster();
    const [a, b] = cluster.nodes;
    const living = await addListening(a);
    const [gone, dead] = [await addListening(b), await addListening(b)];
    await b.del(gone);
    await killPods([dead.namespace]);
    await until('the end of the dead pod', async () =>
      (await mtuOf(b.namespace, 'master', 'cni0')).length === 0 ? true : undefined,
    );
    for (const node of [a, b]) await node.endFlanneld('SIGTERM');
    await cluster.configure({ Network: '10.245.0.0/16', Backend: { Type: 'vxlan', MTU: 1400 } });
    await cluster.forgetSubnets();
    for (const node of [a, b]) await node.startFlanneld();
    await cluster.untilJoined([4]);
    // Idle: the dead pod is none that the bridge would have to care for.
    const healed = await addListening(b);
    expect(healed.address[4]).toMatch(/^10\.245\./);
    expect(await mtuOf(healed.namespace, 'eth0')).toEqual([1350]);
    expect(await mtuOf(b.namespace, 'master', 'cni0')).toEqual([1350]);
    expect(await mtuOf(b.namespace, 'cni0')).toEqual([1350]);
    expect(leasesOn(b)).toEqual([healed.address[4]]);
    // With a living pod of the old subnet.
    const refused = await a.cni('add', await cluster.newNamespace());
    expect(refused.exitCode).toBe(1);
    expect(refused.said).toMatch(/already has an IP address different from 10\.245\./);
    expect(refused.said).toContain('veth');
    expect(leasesOn(a)).toEqual([living.address[4]]);
    expect(statesOn(a)).toHaveLength(1);
    // Once it is gone, all is well.
    await a.del(living);
    await expectTalk(await addListening(a), healed);
  });

  it('is given another MTU alone: the next pod has it at both ends, and those of before work on', async () => {
    await using _ = await createCluster();
    const [a, b] = cluster.nodes;
    const [one, other] = [await addListening(a), await addListening(b)];
    await cluster.configure({ ...VXLAN, Backend: { Type: 'vxlan', MTU: 1400 } });
    for (const node of [a, b]) await node.endFlanneld('SIGTERM');
    for (const node of [a, b]) await node.startFlanneld();
    await cluster.untilJoined([4]);
    const next = await addListening(a);
    expect(await mtuOf(next.namespace, 'eth0')).toEqual([1350]);
    expect((await mtuOf(a.namespace, 'master', 'cni0')).sort()).toEqual([1350, 1450]);
    await expectTalk(next, one);
    await expectTalk(next, other);
    await expectTalk(one, other);
  });
});
