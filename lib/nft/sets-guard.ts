/** The same as ./localnet-guard.ts, as a chain of the table of ./sets.ts: each layout has its own users of 127.0.0.1. */
import { applyNft, list, type NftListing } from './nft.ts';
import { SETS_TABLE } from './sets.ts';
import { NftTransaction } from './transaction.ts';

const CHAIN = 'localnet_guard';
const RULES = ['iifname != "lo" ip daddr 127.0.0.0/8 drop', 'iifname != "lo" ip saddr 127.0.0.0/8 drop'];

/** For a table that is there. */
export function makingGuard(): NftTransaction {
  const transaction = new NftTransaction(SETS_TABLE)
    .addChain(CHAIN, { hook: 'type filter hook prerouting priority -300' })
    .flushChain(CHAIN);
  for (const rule of RULES) transaction.addRule(CHAIN, rule);
  return transaction;
}

/** For a table that is there; it may have none. */
export function removingGuard(): NftTransaction {
  return new NftTransaction(SETS_TABLE).dropChains([CHAIN]);
}

/** Pure: whether `listing` of the table or the chain has it. */
export function isGuarded({ rules }: NftListing): boolean {
  return rules.filter(({ chain }) => chain === CHAIN).length >= RULES.length;
}

/** Takes away what is there of the guard. Throws ToolError. */
export function removeGuard(): void {
  if (list(SETS_TABLE, CHAIN).chains.size > 0) applyNft(() => [removingGuard()]);
}
