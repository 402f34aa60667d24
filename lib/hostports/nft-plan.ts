/** Which of the rules that are there one attachment made, and which of its own are missing: pure functions. */
import { type HostportRule, hostportComment, hostportRules } from '../nft/hostports.ts';
import type { NftListing } from '../nft/nft.ts';
import type { NftRules, OwnedRule } from './nft-rules.ts';

export interface Removal {
  readonly containerId: string;
  /** Take out what sends to these; `undefined` when nobody knows any more: all but what sends to `living`. */
  readonly addresses: readonly string[] | undefined;
  /** What the attachment wanted itself, as far as known: the rest is somebody else's when others want it. */
  readonly own: readonly OwnedRule[];
}

/** What the container has elsewhere: its other interfaces, on whichever network. */
export interface Elsewhere {
  readonly addresses: readonly string[];
  readonly owned: readonly OwnedRule[];
}

/** A comment names the container and no network, so a rule is told by where it sends to. */
export function planRemoval(
  { containerId, addresses, own }: Removal,
  rules: readonly HostportRule[],
  elsewhere: () => Elsewhere,
): HostportRule[] {
  const comment = hostportComment(containerId);
  const candidates = rules.filter(
    (rule) => rule.comment === comment && (addresses?.includes(rule.target) ?? true) && !isAny(rule, own),
  );
  // Read only when something is there that the attachment itself is not known to have made.
  const others = candidates.length === 0 ? { addresses: [], owned: [] } : elsewhere();
  const isOthers = (rule: HostportRule) =>
    addresses === undefined ? others.addresses.includes(rule.target) : isAny(rule, others.owned);
  return [
    ...rules.filter((rule) => rule.comment === comment && isAny(rule, own)),
    ...candidates.filter((rule) => !isOthers(rule)),
  ];
}

/** One rule for each of `wanted`, the one that was added last. */
export function planTakingBack({ owned, comment }: NftRules, rules: readonly HostportRule[]): HostportRule[] {
  const left = rules.filter((rule) => rule.comment === comment).toReversed();
  return owned.flatMap((wanted) => {
    const at = left.findIndex((rule) => isThe(wanted)(rule));
    return at === -1 ? [] : left.splice(at, 1);
  });
}

/** What traffic to the wanted address lacks, each as a part of a sentence. */
export function findMissing({ table, comment, owned, shared }: NftRules, listing: NftListing): string[] {
  if (listing.chains.size === 0) return [`table ${table}`];
  const chains = new Set([...shared, ...owned].map(({ chain }) => chain).filter((chain) => !listing.chains.has(chain)));
  const own = hostportRules(listing).filter((rule) => rule.comment === comment);
  const rules = [
    // Somebody else's conditions may stand before a shared rule.
    ...shared.filter(
      (wanted) => !listing.rules.some((rule) => rule.chain === wanted.chain && endsIn(rule.text, wanted.text)),
    ),
    ...owned.filter((wanted) => !own.some(isThe(wanted))),
  ];
  return [
    ...[...chains].map((chain) => `chain ${chain} of table ${table}`),
    ...rules
      .filter(({ chain }) => !chains.has(chain))
      .map(({ chain, text }) => `rule "${text}" in chain ${chain} of table ${table}`),
  ];
}

function isAny(rule: HostportRule, owned: readonly OwnedRule[]): boolean {
  return owned.some((one) => isThe(one)(rule));
}

/**
 * With conditions, whose words nft prints in its own way, the fixed part has to do: the reference's stand in the shared
 * chains, not before the rule.
 */
function isThe({ chain, text, conditions }: OwnedRule): (rule: HostportRule) => boolean {
  return (rule) => rule.chain === chain && (conditions === '' ? rule.text === text : endsIn(rule.text, text));
}

function endsIn(text: string, end: string): boolean {
  return text === end || text.endsWith(` ${end}`);
}
