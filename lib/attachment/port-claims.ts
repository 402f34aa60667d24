/**
 * Which ports of the host somebody claims, and whether two claims meet. No host address claims the port on every address
 * of both families, `0.0.0.0` and `::` on every one of their own, another address on itself alone.
 */
import { parseIp } from '../net/ip.ts';
import type { PortMapping } from './port-record.ts';

/** Ports that follow one another, of one protocol and host address. */
export interface PortClaim {
  readonly protocol: PortMapping['protocol'];
  readonly first: number;
  readonly last: number;
  /** As in PortMapping. */
  readonly hostIp: string;
}

/** The claims of `mappings`: a range of a thousand ports is one. */
export function claimsOf(mappings: readonly PortMapping[]): PortClaim[] {
  const sorted = [...mappings].sort(
    (one, two) => compare(one.protocol, two.protocol) || compare(one.hostIp, two.hostIp) || one.hostPort - two.hostPort,
  );
  const claims: PortClaim[] = [];
  for (const { protocol, hostIp, hostPort } of sorted) {
    const before = claims.at(-1);
    const isNext = before?.protocol === protocol && before.hostIp === hostIp && hostPort - before.last <= 1;
    if (isNext) claims[claims.length - 1] = { ...before, last: hostPort };
    else claims.push({ protocol, first: hostPort, last: hostPort, hostIp });
  }
  return claims;
}

function compare(one: string, two: string): number {
  if (one === two) return 0;
  return one < two ? -1 : 1;
}

/** True when a packet can be for both. */
export function claimsMeet(one: PortClaim, two: PortClaim): boolean {
  return one.protocol === two.protocol && one.first <= two.last && two.first <= one.last && addressesMeet(one, two);
}

function addressesMeet(
  { hostIp: one }: Pick<PortClaim, 'hostIp'>,
  { hostIp: two }: Pick<PortClaim, 'hostIp'>,
): boolean {
  if (one === '' || two === '' || one === two) return true;
  const [first, second] = [parseIp(one), parseIp(two)];
  return first?.family === second?.family && (first?.value === 0n || second?.value === 0n);
}

/** The mappings that claim something which one of `claims` claims, too. */
export function contested(mappings: readonly PortMapping[], claims: readonly PortClaim[]): PortMapping[] {
  return mappings.filter((mapping) =>
    claimsOf([mapping]).some((own) => claims.some((claim) => claimsMeet(own, claim))),
  );
}

/** `tcp 8080`, `udp 9000-9999 192.0.2.1`: for an index that people may read. */
export function formatClaim({ protocol, first, last, hostIp }: PortClaim): string {
  return `${protocol} ${first}${last === first ? '' : `-${last}`}${hostIp === '' ? '' : ` ${hostIp}`}`;
}

/** `undefined` for text that formatClaim() did not make. */
export function parseClaim(text: string): PortClaim | undefined {
  const [, protocol, first, last = first, hostIp = ''] =
    /^(tcp|udp|sctp) (\d+)(?:-(\d+))?(?: (\S+))?$/.exec(text) ?? [];
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp') return undefined;
  return { protocol, first: Number(first), last: Number(last), hostIp };
}
