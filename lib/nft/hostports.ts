/** The reference's tables with forwarded ports, `ip cni_hostport` and `ip6 cni_hostport`, and what their rules say. */
import { type Family, parseIp } from '../net/ip.ts';
import type { NftListing, NftRule } from './nft.ts';
import { comment, type NftTable } from './transaction.ts';

export const HOSTPORT_TABLES: { readonly [F in Family]: NftTable } = { 4: 'ip cni_hostport', 6: 'ip6 cni_hostport' };

/** Rules of containers: what is sent to them, and what is masqueraded on the way. */
export const HOSTPORTS = 'hostports';
export const MASQUERADING = 'masquerading';
/** Empty; the reference before 1.6 kept rules with an address of the host there. */
export const HOSTIP_HOSTPORTS = 'hostip_hostports';

/** One rule of one container's. */
export interface HostportRule extends NftRule {
  /** Where it sends to, or what it masquerades packets to: canonical, '' when it is neither. */
  readonly target: string;
}

/** All rules of containers; a comment says whose each is. */
export function hostportRules({ rules }: NftListing): HostportRule[] {
  return rules
    .filter(({ chain }) => [HOSTPORTS, MASQUERADING, HOSTIP_HOSTPORTS].includes(chain))
    .map((rule) => ({ ...rule, target: targetOf(rule.text) }));
}

function targetOf(text: string): string {
  const [, bracketed, plain, masqueraded] =
    /dnat to (?:\[(.*)\]|([\d.]+)):\d+$|ip6? daddr (\S+) masquerade$/.exec(text) ?? [];
  return parseIp(bracketed ?? plain ?? masqueraded ?? '')?.text ?? '';
}

/** What the rules of a container carry: nothing tells two networks of one container apart but where they send to. */
export function hostportComment(containerId: string): string {
  return comment(containerId);
}
