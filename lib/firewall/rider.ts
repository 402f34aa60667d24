/** Rules that are written in the transaction of somebody else's, where both are in the same firewall. */
import type { NatPlan } from '../iptables/nat.ts';
import type { Family } from '../net/ip.ts';
import type { NftTransaction } from '../nft/transaction.ts';

export interface Rider {
  /** Lines for the nat table of a family; `undefined` where there are none. */
  nat(family: Family): NatPlan | undefined;
  /** Asked again for each attempt. */
  nft(): readonly NftTransaction[];
}
