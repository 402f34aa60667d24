/**
 * `make demo`: two containers join a network, talk, reach the outside, serve a host port, and leave no trace. The
 * world it happens in: ./world.ts. Usage: demo.ts [FOLDER], the folder with the executables (dist/bin).
 */
import { join, resolve } from 'node:path';
import { did, prove, say, step } from './narrator.ts';
import { callerSeenBy, type Server, serve } from './probes.ts';
import { type Ended, run, tryRun } from './shell.ts';
import {
  buildWorld,
  FAMILIES,
  type Family,
  NODE_ADDRESS,
  newTraces,
  OUTSIDE_ADDRESS,
  observeTraces,
  requirePrivateWorld,
  type Traces,
} from './world.ts';

const NETWORK = 'nodecni-dual';
const BRIDGE = 'nodecni1';
const HOST_PORT = 8080;
const PORT = 80;

const repository = join(import.meta.dirname, '../..');
const bin = resolve(process.argv[2] ?? join(repository, 'dist/bin'));
const servers: Server[] = [];

type Container = 'red' | 'blue';
interface Joined {
  readonly name: Container;
  /** Without prefix lengths. */
  readonly address: { readonly [F in Family]: string };
  readonly gateway: { readonly [F in Family]: string };
}

try {
  requirePrivateWorld();
  await tell();
} catch (error) {
  process.stderr.write(`\n   ✗ ${(error as Error).message}\n\nthe demo failed\n`);
  process.exitCode = 1;
} finally {
  for (const server of servers) server.stop();
}

async function tell(): Promise<void> {
  say('A node, two containers (red and blue) and a host outside: network namespaces that vanish with this demo.');
  say("Nothing of this machine's own network is touched. The network is conflist/20-dual-stack.conflist.");
  buildWorld(join(repository, 'conflist'));
  const before = observeTraces(NETWORK);

  const [red, blue] = joinBoth();
  for (const place of ['red', 'blue', 'outside'] as const) servers.push(await serve(place, PORT));
  talkToEachOther(red, blue);
  reachOutside(red);
  serveHostPort(red);
  checkAttachment(red);
  leave(before);
  say('\nthe demo is done: every step did what it should');
  say('Other networks (NAT, bridged, internal, host-only, ...) and who reaches whom on each: conflist/README.md');
}

function joinBoth(): [Joined, Joined] {
  step('The containers join the network');
  const red = joinNetwork('red', ['--port', `${HOST_PORT}:${PORT}`]);
  const blue = joinNetwork('blue', []);
  const distinct = FAMILIES.every((family) => red.address[family] !== blue.address[family]);
  prove(distinct, 'each container has an IPv4 and an IPv6 address of its own', JSON.stringify([red, blue]));
  return [red, blue];
}

function joinNetwork(name: Container, options: readonly string[]): Joined {
  const result = JSON.parse(cnictl('add', name, options).stdout) as {
    ips: readonly { address: string; gateway: string }[];
  };
  did(`${name} has ${result.ips.map(({ address }) => address).join(' and ')}`);
  const ip = (family: Family) => result.ips.find(({ address }) => address.includes(':') === (family === 6));
  const address = (family: Family) => ip(family)?.address.split('/')[0] ?? 'none';
  const gateway = (family: Family) => ip(family)?.gateway ?? 'none';
  return { name, address: { 4: address(4), 6: address(6) }, gateway: { 4: gateway(4), 6: gateway(6) } };
}

function talkToEachOther(red: Joined, blue: Joined): void {
  step('The containers talk to each other');
  for (const family of FAMILIES) {
    for (const [from, to] of [
      [red, blue],
      [blue, red],
    ] as const) {
      const seen = callerSeenBy(from.name, to.address[family], PORT);
      const own = from.address[family];
      prove(seen === own, `${to.name} is called by ${own}: ${from.name}'s own address, nothing in between`, seen);
    }
  }
}

function reachOutside(red: Joined): void {
  step('A container reaches the outside, which has no route to it');
  for (const family of FAMILIES) {
    const seen = callerSeenBy(red.name, OUTSIDE_ADDRESS[family], PORT);
    const node = NODE_ADDRESS[family];
    prove(seen === node, `outside is called by ${node}: the node stands in for red (masquerade)`, seen);
  }
}

function serveHostPort(red: Joined): void {
  step(`Port ${HOST_PORT} of the node leads to port ${PORT} of red`);
  for (const family of FAMILIES) {
    const seen = callerSeenBy('outside', NODE_ADDRESS[family], HOST_PORT);
    const caller = OUTSIDE_ADDRESS[family];
    prove(seen === caller, `from outside: red is called by ${caller}, so it knows who its callers are`, seen);
  }
  const local = callerSeenBy('node', '127.0.0.1', HOST_PORT);
  const gateway = red.gateway[4];
  prove(local === gateway, `from the node's own 127.0.0.1: red is called by its gateway ${gateway}`, local);
  for (const family of FAMILIES) {
    const seen = callerSeenBy(red.name, NODE_ADDRESS[family], HOST_PORT);
    const own = red.gateway[family];
    prove(seen === own, `from red itself, by the node's address: the way leads back (hairpin), seen as ${own}`, seen);
  }
}

function checkAttachment(red: Joined): void {
  step('CHECK tells a healthy attachment from a broken one');
  cnictl('check', 'red');
  prove(true, 'red is as ADD left it', '');
  const route = ['default', 'via', red.gateway[4], 'dev', 'eth0'];
  run('red', ['ip', 'route', 'del', ...route]);
  did("red's default route is taken away");
  const broken = tryCnictl('check', 'red', []);
  prove(broken.status === 1, `CHECK notices: ${broken.stderr.trim().split('\n')[0]}`, `status ${broken.status}`);
  run('red', ['ip', 'route', 'add', ...route]);
  did('and given back');
  cnictl('check', 'red');
  prove(true, 'all is well again', '');
}

function leave(before: Traces): void {
  step('The containers leave');
  const held = newTraces(before, observeTraces(NETWORK));
  const counts = `${held.leases.length} leases, ${held.links.length} links, ${held.rules.length} firewall rules and chains`;
  did(`until now they hold ${counts}`);
  for (const name of ['red', 'blue'] as const) cnictl('del', name);
  const left = newTraces(before, observeTraces(NETWORK));
  prove(left.leases.length === 0, `no lease is left in /var/lib/cni/networks/${NETWORK}`, left.leases.join(' '));
  prove(left.results.length === 0, 'no cached result is left in /var/lib/cni/results', left.results.join(' '));
  const links = left.links.filter((name) => name !== BRIDGE);
  prove(links.length === 0, `no link is left but the bridge ${BRIDGE}, for the next container`, links.join(' '));
  // The chains that all containers share, and the jumps to them, stay.
  const rules = left.rules.filter((rule) => !rule.includes('CNI-HOSTPORT-') || rule.includes('CNI-DN-'));
  prove(rules.length === 0, 'no firewall rule or chain is left of either container', rules.join('\n            '));
  cnictl('del', 'red');
  prove(true, 'leaving twice does no harm', '');
}

/** Runs cnictl for `container`, showing the command. Throws with its words when it fails. */
function cnictl(verb: string, container: Container, options: readonly string[] = []): Ended {
  did(`$ ${['cnictl', verb, NETWORK, container, ...options].join(' ')}`);
  const ended = tryCnictl(verb, container, options);
  if (ended.status === 0) return ended;
  throw new Error(`cnictl ${verb} ended with status ${ended.status}: ${ended.stderr.trim()}`);
}

function tryCnictl(verb: string, container: Container, options: readonly string[]): Ended {
  const command = [join(bin, 'cnictl'), verb, NETWORK, container, '--json', ...options];
  return tryRun('node', command, { ...process.env, CNI_PATH: bin });
}
