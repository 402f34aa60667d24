/** Masquerade in the reference's nftables rules: one per address, in a table that all plugins of this kind share. */
import { EMPTY } from '../../lib/firewall/rider.ts';
import type { Cidr } from '../../lib/net/ip.ts';
import {
  type Commented,
  ifnameIn,
  isOf,
  MASQ_CHECKS,
  MASQUERADE_TABLE,
  masqueradeComment,
  networkKey,
} from '../../lib/nft/masquerades.ts';
import { applyNft, applyNftBeside, list, type NftListing, type NftRule } from '../../lib/nft/nft.ts';
import { deletion } from '../../lib/nft/owned.ts';
import { networkWord } from '../../lib/nft/rule-text.ts';
import { NftTransaction, type RuleRef } from '../../lib/nft/transaction.ts';
import type { Masquerade, Owner } from './masquerade.ts';

const POSTROUTING = 'postrouting';
const SHARED = ['ip daddr 224.0.0.0/4 return', 'ip6 daddr ff00::/8 return', `goto ${MASQ_CHECKS}`];

export const nftMasquerade: Masquerade = {
  add(owner, addresses, isKnown) {
    return applyNftBeside(() => [addition(owner, addresses, isKnown)]);
  },
  remove(owner) {
    return applyNftBeside(() => [removal(owner)]);
  },
  adding(owner, addresses, isKnown) {
    return { ...EMPTY, nft: () => [addition(owner, addresses, isKnown)] };
  },
  removing(owner) {
    return { ...EMPTY, nft: () => [removal(owner)] };
  },
  missing(owner, addresses) {
    return findMissing(owner, addresses, list(MASQUERADE_TABLE));
  },
  removeUnlisted({ network, present }) {
    applyNft(() => {
      const rules = rulesOfContainers();
      return [deletion(MASQUERADE_TABLE, unlisted(network, present(), rules))];
    });
  },
};

function addition(owner: Owner, addresses: readonly Cidr[], isKnown: boolean): NftTransaction {
  return planMasquerade(owner, addresses, isKnown ? rulesOfContainers().filter(isOf(owner)) : []);
}

function removal(owner: Owner): NftTransaction {
  return deletion(MASQUERADE_TABLE, rulesOfContainers().filter(isOf(owner)));
}

function rulesOfContainers(): readonly NftRule[] {
  return list(MASQUERADE_TABLE, MASQ_CHECKS).rules;
}

/** Makes all that is shared, as it has to be; the rules of `addresses` come in place of `stale` ones. */
export function planMasquerade(owner: Owner, addresses: readonly Cidr[], stale: readonly RuleRef[]): NftTransaction {
  const transaction = new NftTransaction(MASQUERADE_TABLE)
    .addTable('Masquerading for plugins from github.com/containernetworking/plugins')
    .addChain(MASQ_CHECKS, {
      comment: 'Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet',
    })
    .addChain(POSTROUTING, { hook: 'type nat hook postrouting priority 100' })
    .flushChain(POSTROUTING);
  for (const text of SHARED) transaction.addRule(POSTROUTING, text);
  for (const rule of stale) transaction.deleteRule(rule);
  for (const cidr of addresses) transaction.addRule(MASQ_CHECKS, ruleFor(cidr), masqueradeComment(owner));
  return transaction;
}

/** As `nft list` prints it. */
function ruleFor(cidr: Cidr): string {
  const ip = cidr.ip.family === 4 ? 'ip' : 'ip6';
  return `${ip} saddr ${cidr.ip.text} ${ip} daddr != ${networkWord(cidr)} masquerade`;
}

/** Pure: what masquerading of `addresses` lacks. */
export function findMissing(owner: Owner, addresses: readonly Cidr[], { chains, rules }: NftListing): string[] {
  if (chains.size === 0) return [`since table ${MASQUERADE_TABLE} is gone`];
  const wanted = [
    ...SHARED.map((text) => ({ chain: POSTROUTING, text })),
    ...addresses.map((cidr) => ({ chain: MASQ_CHECKS, text: ruleFor(cidr) })),
  ];
  const isOwn = isOf(owner);
  const isThere = (chain: string, text: string) =>
    rules.some((rule) => rule.chain === chain && rule.text === text && (chain === POSTROUTING || isOwn(rule)));
  return wanted
    .filter(({ chain, text }) => !isThere(chain, text))
    .map(({ chain, text }) => `in chain ${chain} of table ${MASQUERADE_TABLE}: ${text}`);
}

/** Pure: the rules of `network` of whose container nobody in `present` is. */
export function unlisted<R extends Commented>(network: string, present: readonly Owner[], rules: readonly R[]): R[] {
  const isKnown = (rule: R) =>
    present.some((owner) => isOf(owner)(rule) || isOf({ ...owner, ifname: ifnameIn(rule) })(rule));
  const key = networkKey(network);
  return rules.filter((rule) => rule.comment.startsWith(key) && !isKnown(rule));
}
