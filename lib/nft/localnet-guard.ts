/** The same as ../iptables/localnet-guard.ts, as a table of its own: what is there already does no harm to make again. */
import { applyNft, list } from './nft.ts';
import { type NftTable, NftTransaction } from './transaction.ts';

const GUARD_TABLE: NftTable = 'ip cni_localnet_guard';

const CHAIN = 'prerouting';
const RULES = ['iifname != "lo" ip daddr 127.0.0.0/8 drop', 'iifname != "lo" ip saddr 127.0.0.0/8 drop'];

export function makingGuard(): NftTransaction {
  const transaction = new NftTransaction(GUARD_TABLE)
    .addTable('Keeps others off 127.0.0.0/8 while route_localnet is on')
    .addChain(CHAIN, { hook: 'type filter hook prerouting priority -300' })
    .flushChain(CHAIN);
  for (const rule of RULES) transaction.addRule(CHAIN, rule);
  return transaction;
}

/** Also where there is none. */
export function removingGuard(): NftTransaction {
  return makingGuard().deleteTable();
}

/** Throws ToolError. */
export function isGuardThere(): boolean {
  return list(GUARD_TABLE).rules.length >= RULES.length;
}

/** Takes away what is there of the guard. Throws ToolError. */
export function removeGuard(): void {
  if (list(GUARD_TABLE).chains.size > 0) applyNft(() => [removingGuard()]);
}
