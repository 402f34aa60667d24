/** What goes with dead attachments, as pure functions of what the two tables hold, whoever made the rules. */
import type { ChainOwner } from '../iptables/chain-name.ts';
import { type HostportRule, hostportComment } from './hostports.ts';
import { ifnameIn, isOf, networkKey, sourceOf } from './masquerades.ts';
import type { NftRule } from './nft.ts';

export interface DeadRules {
  /** Canonical texts. */
  readonly addresses: readonly string[];
  /** Containers that are dead as a whole: their masquerading goes, whatever its address. */
  readonly owners: readonly ChainOwner[];
  /** The addresses are of these networks: another network may have the same one, for a container that lives. */
  readonly networks: readonly string[];
}

/** Where a container gets ports forwarded to. */
export interface Claim extends ChainOwner {
  /** Canonical. */
  readonly addresses: readonly string[];
}

export function deadMasquerades({ addresses, owners, networks }: DeadRules, rules: readonly NftRule[]): NftRule[] {
  const keys = networks.map(networkKey);
  const isOwned = (rule: NftRule) => owners.some((owner) => isOf({ ...owner, ifname: ifnameIn(rule) })(rule));
  const isAbout = (rule: NftRule) =>
    keys.some((key) => rule.comment.startsWith(key)) && addresses.includes(sourceOf(rule));
  return rules.filter((rule) => isAbout(rule) || isOwned(rule));
}

/**
 * A comment names the container and no network. So a rule goes by where it sends to: to a dead address, unless that very
 * container is known to have it on another network, or to where a dead container is known to have had its ports.
 */
export function deadHostports(
  { addresses, owners, networks }: DeadRules,
  claims: readonly Claim[],
  rules: readonly HostportRule[],
): HostportRule[] {
  const isClaimed = ({ comment, target }: HostportRule, isIn: (claim: Claim) => boolean) =>
    claims.some(
      (claim) => isIn(claim) && hostportComment(claim.containerId) === comment && claim.addresses.includes(target),
    );
  const isElsewhere = ({ network }: Claim) => !networks.includes(network);
  const isDead = ({ network, containerId }: Claim) =>
    owners.some((owner) => owner.network === network && owner.containerId === containerId);
  return rules.filter(
    (rule) => (addresses.includes(rule.target) && !isClaimed(rule, isElsewhere)) || isClaimed(rule, isDead),
  );
}
