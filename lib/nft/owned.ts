/** Takes away what dead attachments left in the two tables. What goes is decided by ./owned-plan.ts. */
import { type Family, parseIp } from '../net/ip.ts';
import { HOSTPORT_TABLES, hostportRules } from './hostports.ts';
import { MASQ_CHECKS, MASQUERADE_TABLE } from './masquerades.ts';
import { applyNft, list } from './nft.ts';
import { type Claim, type DeadRules, deadHostports, deadMasquerades } from './owned-plan.ts';
import { type NftTable, NftTransaction, type RuleRef } from './transaction.ts';

/** One list per table and at most one transaction for all. Throws ToolError. */
export function removeDeadRules(dead: DeadRules, claims: readonly Claim[]): void {
  applyNft(() => [
    deletion(MASQUERADE_TABLE, deadMasquerades(dead, list(MASQUERADE_TABLE, MASQ_CHECKS).rules)),
    ...familiesOf(dead).map((family) => {
      const table = HOSTPORT_TABLES[family];
      return deletion(table, deadHostports(dead, claims, hostportRules(list(table))));
    }),
  ]);
}

/** Of dead containers nobody knows the addresses: both. */
function familiesOf({ addresses, owners }: DeadRules): Family[] {
  const present = new Set(addresses.map((text) => parseIp(text)?.family));
  return ([4, 6] as const).filter((family) => owners.length > 0 || present.has(family));
}

export function deletion(table: NftTable, rules: readonly RuleRef[]): NftTransaction {
  const transaction = new NftTransaction(table);
  for (const rule of rules) transaction.deleteRule(rule);
  return transaction;
}
