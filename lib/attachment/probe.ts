/** Whether anybody answers for an address on a network that this host is on: the last question about a foreign lease. */
import { query } from '../iproute2/batch.ts';
import { sendDatagram } from '../linux/libc.ts';
import { bitsOf, type Cidr, contains, type Ip, parseCidr, parseIp } from '../net/ip.ts';

/** The kernel asks three times, a second apart; who lives answers the first time, within milliseconds. */
const WAIT_MS = 1000;
/** Neighbours that one sweep may ask for: the kernel's table holds 1024 by default. The rest waits for the next one. */
const MOST = 256;
/** discard: whoever is there may throw it away. */
const PORT = 9;

interface Neighbour {
  readonly dst: string;
  readonly lladdr?: string;
  readonly state?: readonly string[];
}

interface Route {
  readonly dst: string;
  readonly gateway?: string;
  readonly via?: unknown;
  /** Absent for unicast. */
  readonly type?: string;
}

/**
 * Those of `addresses` that are shown to be silent. One datagram to each makes the kernel ask by ARP or neighbour
 * discovery; one look at its table afterwards tells who answered. An address that is not on a network of this host
 * cannot be asked for and is silent by that: nobody here can reach it. Throws ToolError.
 */
export function silentAddresses(addresses: readonly string[]): ReadonlySet<string> {
  const asked = addresses.flatMap((text) => parseIp(text) ?? []).slice(0, MOST);
  if (asked.length === 0) return new Set();
  const networks = ownNetworks();
  const near = asked.filter((ip) => networks.some((network) => contains(network, ip)));
  for (const ip of near) sendDatagram(ip.family, bytesOf(ip), PORT);
  if (near.length > 0) sleep(WAIT_MS);
  const answering = near.length === 0 ? new Set<string>() : answered();
  return new Set(asked.map(({ text }) => text).filter((text) => !answering.has(text)));
}

/** The networks that this host is on: routes that lead over no gateway. A default route says nothing about neighbours. */
function ownNetworks(): Cidr[] {
  const routes = query<Route>([['route', 'show', 'table', 'all']]).flat();
  const direct = routes.filter(
    ({ type, gateway, via }) => type === undefined && gateway === undefined && via === undefined,
  );
  return direct.flatMap(
    ({ dst }) => parseCidr(dst.includes('/') ? dst : `${dst}/${dst.includes(':') ? 128 : 32}`) ?? [],
  );
}

function answered(): ReadonlySet<string> {
  const neighbours = query<Neighbour>([['neigh', 'show']]).flat();
  const living = neighbours.filter(
    ({ lladdr, state = [] }) => lladdr !== undefined && !state.includes('FAILED') && !state.includes('INCOMPLETE'),
  );
  return new Set(living.map(({ dst }) => parseIp(dst)?.text ?? dst));
}

function bytesOf({ family, value }: Ip): Buffer {
  return Buffer.from(value.toString(16).padStart(bitsOf(family) / 4, '0'), 'hex');
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
