/** Rules that are written in the transaction of somebody else's, where both are in the same firewall. */
import type { NatPlan } from '../iptables/nat.ts';
import type { Family } from '../net/ip.ts';
import type { SetsPlan } from '../nft/elements.ts';
import type { NftTransaction } from '../nft/transaction.ts';

/** What there is of one for each firewall; it rides in one of them. */
export interface Rider {
  /** Lines for the nat table of a family; `undefined` where there are none. */
  nat(family: Family): NatPlan | undefined;
  /** Asked again for each attempt. */
  nft(): readonly NftTransaction[];
  readonly sets: SetsPlan;
}

/** Rides in none. */
export const EMPTY: Rider = { nat: () => undefined, nft: () => [], sets: () => ({}) };
