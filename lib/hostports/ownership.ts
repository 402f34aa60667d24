/** Whose a port of the host is, as a pure function of who claims it and whether they live. */
import type { Verdict } from '../attachment/liveness.ts';
import type { Pod } from '../attachment/pod.ts';
import { contested, type PortClaim } from '../attachment/port-claims.ts';
import { CniError, code } from '../cni/errors.ts';
import type { Mapping } from './forwarding.ts';

/** Another attachment that claims a port. */
export interface Holder {
  /** '' where it cannot be told. */
  readonly network: string;
  readonly containerId: string;
  readonly pod?: Pod | undefined;
  /** By the wall clock, in milliseconds since 1970. */
  readonly sinceMs?: number | undefined;
  readonly claims: readonly PortClaim[];
  readonly verdict: Verdict;
  /** Half a sentence that says by what it is known. */
  readonly why: string;
  /** False for rules that somebody else made: then nobody knows more than `verdict` says. */
  readonly isRecorded: boolean;
}

export interface Wanted {
  readonly network: string;
  readonly containerId: string;
  readonly mappings: readonly Mapping[];
  readonly policy: 'fail' | 'warn';
}

export interface Ownership<H extends Holder> {
  /** What is to be forwarded. */
  readonly mappings: readonly Mapping[];
  /** What another network of the same container goes on forwarding. */
  readonly ceded: readonly Mapping[];
  /** The dead, whose rules and records go. */
  readonly evicted: readonly H[];
  /** For the log. */
  readonly warnings: readonly string[];
}

/** Throws code 107 when a port is held by a container that is not shown to be dead. */
export function decideOwnership<H extends Holder>(wanted: Wanted, holders: readonly H[]): Ownership<H> {
  const evicted = holders.filter(({ verdict }) => verdict === 'dead');
  const living = holders.filter(({ verdict }) => verdict !== 'dead');
  const own = living.filter(({ containerId, network }) => isSame({ containerId, network }, wanted));
  const others = living.filter((holder) => holder.containerId !== wanted.containerId);
  const served = new Set(own.flatMap(({ claims }) => contested(wanted.mappings, claims)));
  const mappings = wanted.mappings.filter((mapping) => !served.has(mapping));
  const warnings = others.flatMap((holder) => refuseOrWarn(holder, mappings, wanted.policy));
  const ceded = wanted.mappings.filter((mapping) => served.has(mapping));
  return { mappings, ceded, evicted, warnings: [...own.flatMap((holder) => cededTo(holder, ceded)), ...warnings] };
}

/** On the same network, the two interfaces share a chain, and the first one's rules come first in it. */
function isSame(holder: { containerId: string; network: string }, wanted: Wanted): boolean {
  return holder.containerId === wanted.containerId && holder.network !== wanted.network;
}

function refuseOrWarn(holder: Holder, mappings: readonly Mapping[], policy: Wanted['policy']): string[] {
  const ports = contested(mappings, holder.claims);
  if (ports.length === 0) return [];
  const [what, who, since] = [portNames(ports), describeHolder(holder), sinceWhen(holder)];
  const { network, containerId, verdict, why } = holder;
  if (!holder.isRecorded && verdict === 'unknown') {
    return [`portmap: rules for ${what} of ${who} stand before ours and are left alone: ${why}`];
  }
  if (policy === 'warn') return [`portmap: ${what} goes on leading to ${who}, which has it${since}: ${why}`];
  throw new CniError(code.portConflict, `cannot forward ${what}: ${who} has it${since}`, {
    details: `${why}; choose another port or delete that container ("cnictl release ${network} ${containerId}" frees what it holds)`,
  });
}

function cededTo({ network, claims }: Holder, ceded: readonly Mapping[]): string[] {
  const ports = contested(ceded, claims);
  if (ports.length === 0) return [];
  const what = portNames(ports);
  const where = network === '' ? 'another network' : `network "${network}"`;
  return [`portmap: ${what} already leads to this container on ${where} and is not forwarded here`];
}

/** `container "c1" (pod shop/web-1) of network "testnet"` */
function describeHolder({ containerId, network, pod }: Holder): string {
  const inPod = pod === undefined ? '' : ` (pod ${pod.namespace}/${pod.name})`;
  return `container "${containerId}"${inPod}${network === '' ? '' : ` of network "${network}"`}`;
}

function sinceWhen({ sinceMs }: Holder): string {
  return sinceMs === undefined ? '' : ` since ${new Date(sinceMs).toISOString().replace(/\.\d+Z$/, 'Z')}`;
}

/** `host port 8080/tcp`, `host port [2001:db8::1]:8080/tcp and 2 more` */
function portNames([first, ...more]: readonly Mapping[]): string {
  const { hostIp = '', hostPort, protocol } = first ?? {};
  const address = hostIp.includes(':') ? `[${hostIp}]` : hostIp;
  const name = `host port ${address}${address === '' ? '' : ':'}${hostPort}/${protocol}`;
  return more.length === 0 ? name : `${name} and ${more.length} more`;
}

/** One line of the log. */
export function describeEviction(holder: Holder): string {
  const since = sinceWhen(holder);
  return `portmap: took the host ports of ${describeHolder(holder)}${since === '' ? '' : ` (${since.trim()})`}: ${holder.why}`;
}
