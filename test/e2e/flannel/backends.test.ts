/**
 * Kubernetes' network model, measured on two nodes that the real flanneld joins: every pod reaches every pod without NAT
 * and sees itself as others see it; what goes to the outside is masqueraded. Once for each backend.
 */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Cluster, type CniOptions, outsideAddress, type Pod } from '../../support/cluster.ts';
import { dumpNamespace } from '../../support/dump.ts';
import { bothProtocols, type Family, type JsonObject } from '../../support/networks.ts';
import type { Namespace } from '../../support/world.ts';

const NETWORK = '10.244.0.0/16';
const IPV6 = { EnableIPv6: true, IPv6Network: 'fd00:10:244::/56' };

interface Backend {
  readonly what: string;
  readonly config: JsonObject;
  readonly families: readonly Family[];
  /** What fits from node to node, by family. */
  readonly mtu: { readonly 4: number; readonly 6: number };
}

const backends: readonly Backend[] = [
  { what: 'vxlan', config: { Backend: { Type: 'vxlan' } }, families: [4], mtu: { 4: 1450, 6: 0 } },
  { what: 'host-gw', config: { Backend: { Type: 'host-gw' } }, families: [4], mtu: { 4: 1500, 6: 0 } },
  { what: 'udp', config: { Backend: { Type: 'udp' } }, families: [4], mtu: { 4: 1472, 6: 0 } },
  {
    what: 'vxlan, dual stack',
    config: { ...IPV6, Backend: { Type: 'vxlan' } },
    families: [4, 6],
    // In IPv6, flanneld's own interface takes 20 bytes less than subnet.env says.
    mtu: { 4: 1450, 6: 1430 },
  },
];

/** Of the pods of each node: the manifest as it is, the newer ones', and the one that has all verbs. */
const VERSIONS: readonly (readonly string[])[] = [
  ['', '0.3.1', '1.1.0'],
  ['', '1.0.0', '1.1.0'],
];

const PORT = 80;
const BULK_PORT = 9000;
const BULK_BYTES = 10_000_000;
const HOST_PORT = 8080;
const PATIENT_MS = 10_000;

describe.each(backends)('$what', ({ config, families, mtu }) => {
  let cluster: Cluster;
  let pods: Pod[];
  let before: unknown;

  beforeAll(async () => {
    cluster = new Cluster();
    try {
      await cluster.start({ Network: NETWORK, ...config });
      await cluster.untilJoined(families);
      before = await traces(cluster);
      pods = await addPods(cluster);
      await listen(cluster, pods);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${cluster.logs()}`, { cause: error });
    }
  });
  beforeEach(({ onTestFailed }) => {
    onTestFailed(() => void process.stderr.write(cluster.logs()));
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  it('gives each pod an address of its node’s subnet, and the MTU at both ends', async () => {
    for (const { node, address, namespace } of pods) {
      const env = await node.subnetEnv();
      expect(address[4]).toMatch(new RegExp(`^${env.FLANNEL_SUBNET?.replace(/\.\d+\/24$/, '')}\\.\\d+$`));
      if (families.includes(6)) expect(address[6]).toContain(env.FLANNEL_IPV6_SUBNET?.replace(/:1\/64$/, ':'));
      expect(await mtuOf(namespace, 'eth0')).toBe(mtu[4]);
    }
    for (const { namespace } of cluster.nodes) {
      const ports = await namespace.ip<{ mtu: number }>('link', 'show', 'master', 'cni0');
      expect(ports.map((port) => port.mtu)).toEqual([mtu[4], mtu[4], mtu[4]]);
      expect(await mtuOf(namespace, 'cni0')).toBe(mtu[4]);
    }
  });

  it.each(families)('IPv%i: every pod reaches every pod by its own address, and itself', async (family) => {
    for (const from of pods) {
      const answers = pods.flatMap((to) =>
        (['tcp', 'udp'] as const).map(async (protocol) => {
          const question = { protocol, host: to.address[family], port: PORT, timeoutMs: PATIENT_MS };
          expect(await from.namespace.agent.ask(question)).toEqual({
            name: to.namespace.name,
            seen: from.address[family],
          });
        }),
      );
      const pings = pods.map((to) => ping(from.namespace, to.address[family]));
      await Promise.all([...answers, ...pings]);
    }
  });

  it.each(families)(
    'IPv%i: 10 MB cross whole, in packets of the right size, and none is fragmented',
    async (family) => {
      const [one, , , other] = pods as [Pod, Pod, Pod, Pod];
      const headers = family === 4 ? 28 : 48;
      await ping(one.namespace, other.address[family], mtu[family] - headers);
      // First of all: the pod knows by itself. In IPv6 with vxlan, it is the node that has to say so.
      const tooLarge = ping(one.namespace, other.address[family], mtu[family] - headers + 1);
      await expect(tooLarge).rejects.toThrow(family === 4 ? `message too long, mtu=${mtu[4]}` : `mtu=${mtu[6]}`);
      for (const { namespace } of [one, other]) await namespace.agent.give(BULK_BYTES, BULK_PORT + family);
      expect(await one.namespace.agent.take(other.address[family], BULK_PORT + family)).toBe(BULK_BYTES);
      expect(await other.namespace.agent.take(one.address[family], BULK_PORT + family)).toBe(BULK_BYTES);
      for (const { namespace } of [...cluster.nodes, ...pods]) expect(await fragments(namespace)).toEqual([]);
    },
  );

  it.each(families)('IPv%i: the outside sees the node, not the pod', async (family) => {
    for (const { namespace, node } of pods) {
      for (const protocol of ['tcp', 'udp'] as const) {
        const question = { protocol, host: outsideAddress[family], port: PORT, timeoutMs: PATIENT_MS };
        expect(await namespace.agent.ask(question)).toEqual({ name: 'outside', seen: node.address[family] });
      }
    }
  });

  it.each(families)(
    'IPv%i: a port of a node leads to its pod from outside, the other node, its pods, and the pod itself',
    async (family) => {
      for (const {
        node,
        ports,
        namespace: { name },
      } of pods.filter(({ ports }) => ports.length > 0)) {
        const [{ hostPort } = { hostPort: 0 }] = ports;
        const askers = [
          cluster.outside,
          ...cluster.nodes.map(({ namespace }) => namespace),
          ...pods.map(({ namespace }) => namespace),
        ];
        const answers = askers.flatMap((asker) =>
          (['tcp', 'udp'] as const).map(async (protocol) => {
            const question = { protocol, host: node.address[family], port: hostPort, timeoutMs: PATIENT_MS };
            const { name: answering, seen } = await asker.agent.ask(question);
            expect(answering, asker.name).toBe(name);
            if (asker === cluster.outside) expect(seen).toBe(outsideAddress[family]);
          }),
        );
        await Promise.all(answers);
      }
    },
  );

  it('CHECK finds all well, and what is not', async () => {
    const checked = pods.filter(({ cniVersion }) => ['1.0.0', '1.1.0'].includes(cniVersion));
    for (const pod of checked) {
      const ended = await pod.node.check(pod);
      expect(ended.exitCode, ended.said).toBe(0);
    }
    const pod = checked[0] as Pod;
    await pod.namespace.run('ip', 'route', 'del', 'default');
    const ended = await pod.node.check(pod);
    expect(ended.exitCode, ended.said).toBe(1);
    const gateway = pod.address[4].replace(/\d+$/, '1');
    await pod.namespace.run('ip', 'route', 'add', 'default', 'via', gateway, 'dev', 'eth0');
  });

  it('DEL leaves nothing, also the second time', async () => {
    for (const pod of [...pods, ...pods.slice(2, 4)]) {
      const ended = await pod.node.del(pod);
      expect(ended.exitCode, ended.said).toBe(0);
    }
    expect(await traces(cluster)).toEqual(before);
  });
});

/** Three on each node, the first two with a port of the node. */
async function addPods(cluster: Cluster): Promise<Pod[]> {
  const perNode = cluster.nodes.map(async (node, index) => {
    const own: Pod[] = [];
    for (const [number, cniVersion] of (VERSIONS[index] ?? []).entries()) {
      const options: CniOptions = { cniVersion, ports: number === 2 ? [] : bothProtocols(HOST_PORT + number, PORT) };
      own.push(await cluster.addPod(node, options));
    }
    return own;
  });
  return (await Promise.all(perNode)).flat();
}

async function listen({ outside, nodes }: Cluster, pods: readonly Pod[]): Promise<void> {
  await outside.agent.listen('outside', PORT);
  for (const { namespace } of pods) await namespace.agent.listen(namespace.name, PORT);
  for (const { namespace } of nodes) void namespace.agent;
}

/** `bytes` of payload, in one packet. Throws when no answer comes. */
async function ping(from: Namespace, address: string, bytes = 56): Promise<void> {
  await from.run('/usr/bin/ping', '-n', '-c', '1', '-W', '5', '-M', 'do', '-s', String(bytes), address);
}

async function mtuOf(namespace: Namespace, link: string): Promise<number | undefined> {
  const [found] = await namespace.ip<{ mtu: number }>('link', 'show', link);
  return found?.mtu;
}

/** Counters of fragments that are not 0 (proc_pid_net(5)). */
async function fragments(namespace: Namespace): Promise<string[]> {
  const text = await namespace.run('/usr/bin/cat', '/proc/net/snmp', '/proc/net/snmp6');
  const [names = [], values = []] = text
    .split('\n')
    .filter((line) => line.startsWith('Ip: '))
    .map((line) => line.split(' '));
  const ipv4 = names.map((name, index) => `${name} ${values[index]}`);
  const ipv6 = text
    .split('\n')
    .filter((line) => line.startsWith('Ip6'))
    .map((line) => line.replace(/\s+/g, ' '));
  return [...ipv4, ...ipv6].filter((counter) => /(Frag(Creates|OKs)|ReasmReqds) [1-9]/.test(counter));
}

/** What a pod could leave on the nodes: in the kernel, and files but for those that stay by design. */
async function traces({ nodes }: Cluster): Promise<unknown> {
  const all = nodes.map(async ({ namespace, folder }) => ({
    ...(await dumpNamespace(namespace)),
    files: filesIn(`${folder}/lib`),
  }));
  return Promise.all(all);
}

const KEPT = /^(lock|last_reserved_ip\.\d|folder-seen|owners)$/;

function filesIn(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !KEPT.test(entry.name));
  return files.map((entry) => join(entry.parentPath, entry.name)).sort();
}
