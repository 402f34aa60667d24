/** Measures who reaches whom on a network: each connection by TCP, UDP and ping, in each family that the guests have. */

import type { Family } from './networks.ts';
import { exec } from './process.ts';
import type { Namespace } from './world.ts';

/**
 * `yes`: answered, and the side that answers sees the address of the side that asks. `as node`: answered, and it sees an
 * address of the node instead. A ping only tells `yes` from `no`.
 */
export type Outcome = 'no' | 'yes' | 'as node';

/** Someone who asks and answers: its agent listens at SERVICE, under its name. */
export interface Party {
  readonly name: string;
  readonly namespace: Namespace;
  /** The first one is where it is asked. */
  readonly addresses: Readonly<Record<Family, readonly string[]>>;
}

export interface Guest extends Party {
  readonly gateway: Readonly<Record<Family, string>>;
  /** Port of the node that it published. */
  readonly hostPort: number;
}

export interface Scene {
  readonly families: readonly Family[];
  readonly node: Party;
  /** A neighbour of the node, which knows nothing of the guests. */
  readonly lan: Party;
  /** A host behind the router of the LAN. */
  readonly world: Party;
  readonly guests: readonly [Guest, Guest];
}

export const SERVICE = 80;

interface Question {
  readonly from: Party;
  readonly host: string;
  /** Of a published port; else both SERVICE and ping. */
  readonly port?: number;
  /** Names of those that may answer. */
  readonly by: readonly string[];
}

type Ask = (scene: Scene, family: Family) => readonly Question[];

const CONNECTIONS = {
  'guest → guest': ({ guests: [one, two] }, family) => [direct(one, two, family), direct(two, one, family)],
  'guest → node': ({ guests: [one], node }, family) => [direct(one, node, family)],
  'guest → its gateway': ({ guests: [one], node, lan }, family) => [
    { from: one, host: one.gateway[family], by: [node.name, lan.name] },
  ],
  'node → guest': ({ guests: [one], node }, family) => [direct(node, one, family)],
  'guest → LAN': ({ guests: [one], lan }, family) => [direct(one, lan, family)],
  'guest → world': ({ guests: [one], world }, family) => [direct(one, world, family)],
  'LAN → guest': ({ guests: [one], lan }, family) => [direct(lan, one, family)],
  'world → guest': ({ guests: [one], world }, family) => [direct(world, one, family)],
  'LAN → published port': ({ guests: [one], node, lan }, family) => [published(lan, one, node.addresses[family][0])],
  'node → published port': ({ guests: [one], node }, family) => [
    published(node, one, node.addresses[family][0]),
    // The kernel never routes ::1 to another link, so there is no such thing for IPv6.
    ...(family === 4 ? [published(node, one, '127.0.0.1')] : []),
  ],
  "guest → another's published port": ({ guests: [one, two], node }, family) => [
    published(two, one, node.addresses[family][0]),
  ],
  'guest → its own published port': ({ guests: [one], node }, family) => [
    published(one, one, node.addresses[family][0]),
  ],
} satisfies Record<string, Ask>;

export type Connection = keyof typeof CONNECTIONS;
export type Reach = Readonly<Record<Connection, Outcome>>;

function direct(from: Party, to: Party, family: Family): Question {
  return { from, host: to.addresses[family][0] ?? '', by: [to.name] };
}

function published(from: Party, to: Guest, host = ''): Question {
  return { from, host, port: to.hostPort, by: [to.name] };
}

/** An answer that is there comes in milliseconds; a busy machine gets time for one that has to come. */
const PATIENCE_MS = { expected: 10_000, unexpected: 700 } as const;

/** What was measured, beside what `reach` says of it: two objects that are equal when all is as expected. */
export async function measure(scene: Scene, reach: Reach): Promise<{ measured: Outcomes; expected: Outcomes }> {
  const probes = scene.families.flatMap((family) => probesOf(scene, family));
  const seen = probes.map(async ({ label, connection, protocol, question }) => {
    const expected = reach[connection] === 'no' || protocol !== 'ping' ? reach[connection] : 'yes';
    const timeoutMs = PATIENCE_MS[expected === 'no' ? 'unexpected' : 'expected'];
    return [label, await outcomeOf(scene, protocol, question, timeoutMs), expected] as const;
  });
  const all = await Promise.all(seen);
  return {
    measured: Object.fromEntries(all.map(([label, outcome]) => [label, outcome])),
    expected: Object.fromEntries(all.map(([label, , expected]) => [label, expected])),
  };
}

type Outcomes = Readonly<Record<string, string>>;

const PROTOCOLS = ['tcp', 'udp', 'ping'] as const;
type Protocol = (typeof PROTOCOLS)[number];

function probesOf(scene: Scene, family: Family) {
  return (Object.keys(CONNECTIONS) as Connection[]).flatMap((connection) =>
    CONNECTIONS[connection](scene, family).flatMap((question: Question) =>
      PROTOCOLS.filter((protocol) => protocol !== 'ping' || question.port === undefined).map((protocol) => {
        const label = `${connection}: ${question.from.name} to ${question.host} by ${protocol}`;
        return { label, connection, protocol, question };
      }),
    ),
  );
}

async function outcomeOf(
  scene: Scene,
  protocol: Protocol,
  { from, host, port = SERVICE, by }: Question,
  timeoutMs: number,
): Promise<string> {
  if (protocol === 'ping') return (await answersPing(from.namespace, host, timeoutMs)) ? 'yes' : 'no';
  const answer = await from.namespace.agent.ask({ protocol, host, port, timeoutMs }).catch(() => undefined);
  if (answer === undefined) return 'no';
  if (!by.includes(answer.name)) return `answered by ${answer.name}`;
  if (holds(from, answer.seen)) return 'yes';
  return holds(scene.node, answer.seen) ? 'as node' : `as ${answer.seen}`;
}

function holds({ addresses }: Party, address: string): boolean {
  return [...addresses[4], ...addresses[6]].includes(address);
}

async function answersPing(from: Namespace, host: string, timeoutMs: number): Promise<boolean> {
  const wait = String(timeoutMs / 1000);
  const { exitCode } = await exec(from.enter(['/usr/bin/ping', '-n', '-q', '-c', '1', '-W', wait, host]));
  return exitCode === 0;
}
