/**
 * Lives of a pod, played while the snapshot is built: what ran there has its bytecode in the snapshot and need not be
 * compiled at every start, and what did not run there is not in it. What it saves is measured by `make bench`.
 */
import type { Verb } from '../../lib/cni/plugin.ts';
import { forgetTools } from '../../lib/exec.ts';
import type { BackendName } from '../../lib/firewall/backend.ts';
import { forgetLibc } from '../../lib/linux/libc.ts';
import { buildId } from '../../lib/sea/build-info.ts';
import { collectGarbage, forgetCompiled } from './forget.ts';
import { BRIDGE, PaperNode } from './node.ts';
import { shed } from './shed.ts';
import { BIN, NETNS, type Stage, setStage } from './stage.ts';
import { startWith } from './start.ts';

type Json = Readonly<Record<string, unknown>>;

/** Calls of the executable, as its main function answers them. */
interface Actor {
  readonly main: () => Promise<void>;
  readonly stage: Stage;
}

const SUBNETS = { 4: '10.0.0.0/24', 6: 'fd00::/64' } as const;
const PORTS = [
  { hostPort: 8080, containerPort: 80, protocol: 'tcp' },
  { hostPort: 5353, containerPort: 53, protocol: 'udp' },
];

/**
 * Ends before the snapshot is taken, which then starts with `main`. Throws, and so fails the build, when a call does not
 * go well: mostly since a plugin asks something that ./node.ts has no answer to.
 */
export async function rehearse(main: () => Promise<void>): Promise<void> {
  using stage = setStage(new PaperNode(), buildId);
  const actor = { main, stage };
  // What only the first pod of a node has to do is no part of the usual call.
  await attach({ ...actor, containerId: 'first', subnets: Object.values(SUBNETS), backend: undefined });
  forgetCompiled();
  startWith(() => void main());
  await warmRuntime();
  await attach({ ...actor, containerId: 'ipv4', subnets: [SUBNETS[4]], backend: 'iptables' });
  await attach({ ...actor, containerId: 'dual', subnets: Object.values(SUBNETS), backend: undefined });
  await attach({ ...actor, containerId: 'nft', subnets: Object.values(SUBNETS), backend: 'nftables' });
  await attach({ ...actor, containerId: 'sets', subnets: Object.values(SUBNETS), backend: 'sets' });
  await attach({ ...actor, containerId: 'one', subnets: [SUBNETS[4]], backend: undefined, isOneProcess: true });
  await stand(actor, 'loopback', {});
  await stand(actor, 'host-local', { ipam: ipamOf([SUBNETS[4]]) });
  await stand(actor, 'flannel', { delegate: { isDefaultGateway: true, hairpinMode: true } });
  forgetTools();
  forgetLibc();
  shed();
  collectGarbage();
}

/** What the stage has its own of. */
async function warmRuntime(): Promise<void> {
  const handler = () => {};
  process.on('uncaughtException', handler).off('uncaughtException', handler);
  await new Promise((resolve) => setImmediate(resolve));
}

interface Life extends Actor {
  readonly containerId: string;
  readonly subnets: readonly string[];
  readonly backend: BackendName | undefined;
  readonly isOneProcess?: boolean;
}

/** bridge and portmap, as a runtime calls them, or bridge that takes the ports itself; DEL comes twice. */
async function attach({ containerId, subnets, backend, isOneProcess = false, ...actor }: Life): Promise<void> {
  const bridge = {
    bridge: BRIDGE,
    isDefaultGateway: true,
    ipMasq: true,
    hairpinMode: true,
    ipam: ipamOf(subnets),
    ...keysFor('ipMasqBackend', backend),
    ...(isOneProcess ? { capabilities: { portMappings: true }, runtimeConfig: { portMappings: PORTS } } : {}),
  };
  const portmap = {
    runtimeConfig: { portMappings: isOneProcess ? [] : PORTS },
    ...keysFor('backend', backend),
  };
  const play = (name: string, verb: Verb, config: Json) => call(actor, { name, verb, containerId, config });
  const attached = await play('bridge', 'ADD', bridge);
  const prevResult = await play('portmap', 'ADD', { ...portmap, prevResult: attached });
  // What a listing of nft says is on paper only.
  if (backend === undefined || backend === 'iptables') {
    await play('bridge', 'CHECK', { ...bridge, prevResult });
    await play('portmap', 'CHECK', { ...portmap, prevResult });
  }
  for (let time = 0; time < 2; time += 1) {
    await play('portmap', 'DEL', { ...portmap, prevResult });
    await play('bridge', 'DEL', { ...bridge, prevResult });
  }
}

function keysFor(key: string, backend: BackendName | undefined): Json {
  if (backend === undefined) return {};
  return backend === 'sets' ? { ruleLayout: 'sets' } : { [key]: backend };
}

function ipamOf(subnets: readonly string[]): Json {
  return { type: 'host-local', ranges: subnets.map((subnet) => [{ subnet }]) };
}

/** A plugin that needs no other. */
async function stand(actor: Actor, name: string, config: Json): Promise<void> {
  const play = (verb: Verb, more: Json = {}) =>
    call(actor, { name, verb, containerId: name, config: { ...config, ...more } });
  const prevResult = await play('ADD');
  await play('CHECK', { prevResult });
  await play('DEL', { prevResult });
}

interface PluginCall {
  readonly name: string;
  readonly verb: Verb;
  readonly containerId: string;
  readonly config: Json;
}

/** Its result. */
async function call({ main, stage }: Actor, { name, verb, containerId, config }: PluginCall): Promise<unknown> {
  const env = {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: NETNS,
    CNI_IFNAME: name === 'loopback' ? 'lo' : 'eth0',
    CNI_PATH: BIN,
  };
  const stdin = JSON.stringify({ cniVersion: '1.1.0', name: 'rehearsal', type: name, ...config });
  const { exitCode, stdout } = await stage.perform(main, { name, env, stdin });
  if (exitCode !== 0) throw new Error(`the rehearsal of ${verb} of ${name} (${containerId}) failed: ${stdout}`);
  return stdout === '' ? undefined : JSON.parse(stdout);
}
