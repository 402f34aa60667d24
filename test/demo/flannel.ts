/**
 * `make demo-flannel`: two nodes that the real flanneld joins, and one packet followed from a pod on the one to a pod on
 * the other, with the entries of the kernel that send it on at each hop. The nodes: test/support/cluster.ts.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { Cluster, MANIFEST, type Node, outsideAddress, type Pod } from '../support/cluster.ts';
import type { Command } from '../support/process.ts';
import type { Namespace } from '../support/world.ts';
import { did, prove, say, step } from './narrator.ts';

const NETWORK = { Network: '10.244.0.0/16', Backend: { Type: 'vxlan' } };
const PORT = 80;
const HOST_PORT = 8080;
const VXLAN_PORT = 8472;
const PATIENT_MS = 10_000;

const cluster = new Cluster();
const [a, b] = cluster.nodes;

try {
  await tell();
} catch (error) {
  process.stderr.write(`\n   ✗ ${(error as Error).message}\n\n${cluster.logs()}\nthe demo failed\n`);
  process.exitCode = 1;
} finally {
  await cluster[Symbol.asyncDispose]();
}

async function tell(): Promise<void> {
  say('Two nodes, a and b, on one wire, with etcd and a host outside: namespaces that vanish with this demo.');
  say("Nothing of this machine's own network is touched. The pods' network is conflist/10-flannel.conflist.");
  await startNodes();
  const [red, blue] = await addPods();
  await follow(red, blue);
  await reachOutside(red, blue);
  await leave([red, blue]);
  say('\nthe demo is done: every step did what it should');
}

async function startNodes(): Promise<void> {
  step('flanneld leases a subnet for each node');
  did(`the network's configuration, in etcd: ${JSON.stringify(NETWORK)}`);
  await cluster.start(NETWORK);
  await cluster.untilJoined([4]);
  for (const node of cluster.nodes) await show(node, 'cat', '/run/flannel/subnet.env');
  did('This file is all that the plugin gets to know of flanneld.');
}

async function addPods(): Promise<[Pod, Pod]> {
  step('A pod on each node: red on a, blue on b');
  lines(MANIFEST);
  const red = await cluster.addPod(a, { ports: [{ hostPort: HOST_PORT, containerPort: PORT, protocol: 'tcp' }] });
  const blue = await cluster.addPod(b);
  const [stored = ''] = readdirSync(`${a.folder}/lib/flannel`);
  did('Of that and of subnet.env, flannel made this configuration for bridge:');
  lines(readFileSync(`${a.folder}/lib/flannel/${stored}`, 'utf8'));
  for (const pod of [red, blue]) {
    const { FLANNEL_SUBNET = '' } = await pod.node.subnetEnv();
    const [subnet = ''] = FLANNEL_SUBNET.split(/\d+\/\d+$/);
    prove(
      pod.address[4].startsWith(subnet),
      `${nameOf(pod)} has ${pod.address[4]}, of ${pod.node.name}'s subnet`,
      FLANNEL_SUBNET,
    );
  }
  for (const pod of [red, blue]) await pod.namespace.agent.listen(nameOf(pod), PORT);
  await cluster.outside.agent.listen('outside', PORT);
  return [red, blue];
}

function nameOf({ node }: Pod): 'red' | 'blue' {
  return node === a ? 'red' : 'blue';
}

async function follow(red: Pod, blue: Pod): Promise<void> {
  step(`A packet goes from red (${red.address[4]}) to blue (${blue.address[4]}), hop by hop`);
  const to = blue.address[4];
  const before = await countArriving(b);
  await expectAnswer(red.namespace, to, { name: 'blue', seen: red.address[4] });

  did('Hop 1, in red: everything outside of its subnet goes to the gateway, by the MAC address of cni0.');
  const [gateway = ''] = /(?<=via )\S+/.exec(await show(red, 'ip', 'route', 'get', to)) ?? [];
  await show(red, 'ip', 'neigh', 'show', gateway);
  await show(a, 'ip', '-brief', 'link', 'show', 'cni0');

  did(
    'Hop 2, on node a: it comes out of the other end of the pair, a port of cni0. That it is for cni0 ends the bridging.',
  );
  await show(a, 'ip', '-brief', 'link', 'show', 'master', 'cni0');

  did("Hop 3, on node a: flanneld's route to b's subnet leads into flannel.1, to an address that stands for node b.");
  const route = await show(a, 'ip', 'route', 'show', 'to', 'match', to, 'dev', 'flannel.1');
  const [peer = ''] = /(?<=via )\S+/.exec(route) ?? [];

  did('Hop 4, flannel.1: nobody is asked on any wire. flanneld wrote down whose MAC address that is, …');
  const neighbour = await show(a, 'ip', 'neigh', 'show', peer, 'dev', 'flannel.1');
  const [mac = ''] = /(?<=lladdr )\S+/.exec(neighbour) ?? [];
  did('… and to which node frames for this MAC address go.');
  const entries = await show(a, 'bridge', 'fdb', 'show', 'dev', 'flannel.1');
  prove(
    entries.includes(`${mac} dst ${b.address[4]}`),
    `the frame goes to ${b.address[4]}, in UDP port ${VXLAN_PORT}`,
    entries,
  );

  did(
    `Hop 5, the wire: Ethernet, IP ${a.address[4]} → ${b.address[4]}, UDP ${VXLAN_PORT}, VXLAN (VNI 1), and in it the frame.`,
  );
  did(
    'IP 20 + UDP 8 + VXLAN 8 + the Ethernet header in it 14 = 50 bytes that pods must leave free: hence FLANNEL_MTU=1450.',
  );
  await show(a, 'ip', '-details', '-oneline', 'link', 'show', 'flannel.1');
  const count = (await countArriving(b)) - before;
  prove(count > 0, `node b counted ${count} such packets from node a while red asked blue once`, String(count));

  did(
    "Hop 6, on node b: the kernel unpacks it in b's flannel.1, whose MAC address it has; blue's subnet is behind cni0.",
  );
  const own = await show(b, 'ip', '-brief', 'link', 'show', 'flannel.1');
  prove(own.includes(mac), 'the MAC address is that of flannel.1 on node b', own);
  await show(b, 'ip', 'route', 'get', to);

  did("Hop 7, on node b: cni0 knows blue's MAC address, and the port behind which it is.");
  const found = await show(b, 'ip', 'neigh', 'show', to, 'dev', 'cni0');
  const [blueMac = 'none'] = /(?<=lladdr )\S+/.exec(found) ?? [];
  const ports = await b.run('bridge', 'fdb', 'show', 'br', 'cni0');
  const port = ports.split('\n').find((line) => line.startsWith(blueMac)) ?? '';
  showText(b.name, ['bridge', 'fdb', 'show', 'br', 'cni0', '| grep', blueMac], port);
  prove(port.includes('dev veth'), 'the pair leads to eth0 in blue: arrived', ports);
  prove(true, `blue was called by ${red.address[4]}: red's own address. No NAT between pods.`, '');
}

async function reachOutside(red: Pod, blue: Pod): Promise<void> {
  step('Beyond the cluster, the node stands in for its pods');
  await expectAnswer(red.namespace, outsideAddress[4], { name: 'outside', seen: a.address[4] });
  prove(true, `outside was called by ${a.address[4]}, node a: flanneld's masquerade (--ip-masq)`, '');
  did(`Port ${HOST_PORT} of node a leads to port ${PORT} of red: portmap, the second plugin of the list.`);
  for (const [from, who] of [[cluster.outside, 'outside'] as const, [blue.namespace, 'blue'] as const]) {
    await expectAnswer(from, a.address[4], { name: 'red' }, HOST_PORT);
    prove(true, `${who} reaches red by ${a.address[4]}:${HOST_PORT}`, '');
  }
}

async function leave(pods: readonly Pod[]): Promise<void> {
  step('The pods leave');
  for (const pod of pods) {
    const ended = await pod.node.del(pod);
    prove(ended.exitCode === 0, `${nameOf(pod)} has left`, ended.said);
    const links = await pod.node.run('ip', '-brief', 'link', 'show', 'master', 'cni0');
    const states = readdirSync(`${pod.node.folder}/lib/flannel`);
    prove(
      links === '' && states.length === 0,
      `nothing of it is left on node ${pod.node.name}`,
      `${links}${states.join()}`,
    );
  }
}

/** Throws when somebody else answers, or is seen to ask. */
async function expectAnswer(from: Namespace, host: string, expected: { name: string; seen?: string }, port = PORT) {
  const { name, seen } = await from.agent.ask({ protocol: 'tcp', host, port, timeoutMs: PATIENT_MS });
  const isExpected = name === expected.name && (expected.seen ?? seen) === seen;
  if (!isExpected) throw new Error(`${host} is ${name}, who was called by ${seen}`);
}

/** Packets of the overlay that came from node a so far; counted from the first call on. */
async function countArriving(node: Node): Promise<number> {
  const match = ['-s', a.address[4], '-p', 'udp', '--dport', String(VXLAN_PORT)] as const;
  await node.run(
    '/bin/sh',
    '-c',
    'iptables -w -t raw -C "$@" 2>/dev/null || iptables -w -t raw -A "$@"',
    'sh',
    'PREROUTING',
    ...match,
  );
  const listing = await node.run('iptables', '-w', '-t', 'raw', '-L', 'PREROUTING', '-v', '-x', '-n');
  return Number(
    listing
      .split('\n')
      .find((line) => line.includes(`dpt:${VXLAN_PORT}`))
      ?.trim()
      .split(/\s+/)[0] ?? 0,
  );
}

/** Runs the command at `place`, shows it with what it says, and returns that. */
async function show(place: Node | Pod, ...command: Command): Promise<string> {
  const isPod = 'namespace' in place && 'result' in place;
  const text = await (isPod ? place.namespace.run(...command) : place.run(...command));
  showText(isPod ? nameOf(place) : place.name, command, text);
  return text;
}

function showText(where: string, command: readonly string[], text: string): void {
  did(`${where}$ ${command.join(' ')}`);
  lines(text);
}

function lines(text: string): void {
  for (const line of text.trimEnd().split('\n')) did(`  ${line.trimEnd()}`);
}
