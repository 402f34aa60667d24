/** No verb loads a built-in module at run time beyond a short list: each costs milliseconds and creeps in unseen. */
import { writeFileSync } from 'node:fs';
import { beforeAll, expect, it } from 'vitest';
import {
  buildReportingExecutable,
  type ReportedCall,
  type ReportingExecutable,
} from '../support/module-report-build.ts';
import { type JsonObject, stackNetwork, stdinFor } from '../support/networks.ts';
import { createWorld, type Namespace, type World } from '../support/world.ts';

/** SIGTERM's handler, and flock(2) and setns(2). Nothing else may be added without a measurement. */
const ALLOWED = [
  'Internal Binding signal_wrap',
  'Internal Binding ffi',
  'NativeModule internal/ffi-shared-buffer',
  'NativeModule internal/ffi/fast-api',
  'NativeModule internal/ffi/vfs',
  'NativeModule ffi',
];

const VERBS = ['ADD', 'CHECK', 'STATUS', 'GC', 'DEL', 'DEL'];

let executable: ReportingExecutable;

beforeAll(async () => {
  executable = await buildReportingExecutable('/run/nodecni-test/modules');
});

it.each(['bridge', 'host-local', 'loopback', 'portmap', 'flannel'])('%s: VERSION loads nothing', (name) => {
  const ended = executable.call({ name, netns: '/proc/self/ns/net', env: { CNI_COMMAND: 'VERSION' }, input: '' });
  expect(ended).toMatchObject({ status: 0 });
  expect(ALLOWED).toEqual(expect.arrayContaining([...ended.loaded]));
});

const port = { hostPort: 8080, containerPort: 80, protocol: 'udp' };

it.each([
  { name: 'loopback', ports: [] },
  { name: 'bridge', ports: [] },
  { name: 'host-local', ports: [] },
  { name: 'flannel', ports: [] },
  { name: 'portmap', ports: [] },
  { name: 'portmap', ports: [port] },
  { name: 'bridge', ports: [], backend: 'nftables' },
  { name: 'portmap', ports: [port], backend: 'nftables' },
])('$name: no verb loads more than the short list (ports: $ports, $backend)', async ({ name, ports, backend }) => {
  await using world = await createWorld();
  const pod = await world.pod();
  let prevResult: unknown = name === 'portmap' ? resultOf(pod) : undefined;
  for (const verb of VERBS) {
    const config = JSON.stringify({
      ...configFor(world, name),
      ...(backend === undefined ? {} : { backend, ipMasqBackend: backend }),
      prevResult,
      runtimeConfig: { portMappings: ports },
      'cni.dev/valid-attachments': [{ containerID: world.id, ifname: 'eth0' }],
    });
    const ended = callIn(world, pod, { name, verb, config });
    expect(ended, `${verb}: ${ended.stdout}${ended.stderr}`).toMatchObject({ status: 0 });
    expect(ALLOWED, `${verb} loaded a module`).toEqual(expect.arrayContaining([...ended.loaded]));
    if (verb === 'ADD') prevResult = JSON.parse(ended.stdout);
  }
});

function callIn(world: World, pod: Namespace, call: { name: string; verb: string; config: string }): ReportedCall {
  const env = {
    CNI_COMMAND: call.verb,
    CNI_CONTAINERID: world.id,
    CNI_NETNS: pod.path,
    CNI_IFNAME: call.name === 'loopback' ? 'lo' : 'eth0',
    CNI_PATH: executable.bin,
  };
  return executable.call({ name: call.name, netns: world.node.path, env, input: call.config });
}

function configFor(world: World, name: string): JsonObject {
  if (name === 'flannel') return flannelConfig(world);
  const conflist = stackNetwork(world, [4, 6]);
  const loopback = { ...conflist, plugins: [...conflist.plugins, { type: 'loopback' }] };
  return stdinFor(loopback, name === 'host-local' ? 'bridge' : name);
}

function flannelConfig({ folder, dataDir }: World): JsonObject {
  const subnetFile = `${folder}/subnet.env`;
  const lines = ['NETWORK=10.7.0.0/16', 'SUBNET=10.7.0.1/24', 'MTU=1450', 'IPMASQ=true'];
  writeFileSync(subnetFile, lines.map((line) => `FLANNEL_${line}\n`).join(''));
  return { cniVersion: '1.1.0', name: 'testnet', type: 'flannel', subnetFile, ipam: { dataDir } };
}

/** What a bridge before portmap would have answered. */
function resultOf(pod: Namespace): JsonObject {
  return {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'cni0' }, { name: 'eth0', sandbox: pod.path }],
    ips: [{ address: '10.7.0.2/24', gateway: '10.7.0.1', interface: 1 }],
  };
}
