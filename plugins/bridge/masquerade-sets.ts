/** Masquerade by elements of the table of lib/nft/sets.ts: two for each address, which the rules that are there look up. */
import { EMPTY } from '../../lib/firewall/rider.ts';
import type { Cidr, Family } from '../../lib/net/ip.ts';
import { changeSets, changeSetsBeside, type ElementListing, listSets, type SetsPlan } from '../../lib/nft/elements.ts';
import { masqueradeComment } from '../../lib/nft/masquerades.ts';
import { networkWord } from '../../lib/nft/rule-text.ts';
import { isOfMasquerade, SETS_TABLE, setName } from '../../lib/nft/sets.ts';
import { findMissing } from '../../lib/nft/sets-plan.ts';
import type { NftElement } from '../../lib/nft/transaction.ts';
import type { Addresses, Masquerade, Owner } from './masquerade.ts';
import { unlisted } from './masquerade-nft.ts';

export const setsMasquerade: Masquerade = {
  add(owner, addresses, isKnown) {
    return changeSetsBeside(addition(owner, addresses, isKnown));
  },
  remove(owner, addresses, families) {
    return changeSetsBeside(removal(owner, likelyElements(owner, addresses, families)));
  },
  adding(owner, addresses, isKnown) {
    return { ...EMPTY, sets: addition(owner, addresses, isKnown) };
  },
  removing(owner, addresses) {
    return { ...EMPTY, sets: removal(owner, elementsOf(owner, addresses)) };
  },
  missing(owner, addresses) {
    return findMissing(elementsOf(owner, addresses), listSets()).map(({ place, what }) =>
      place === '' ? `since table ${SETS_TABLE} is gone` : `in ${place} of table ${SETS_TABLE}: ${what}`,
    );
  },
  removeUnlisted({ network, present }) {
    // A comment names the network, of forwarded ports as well.
    changeSets((listing) => listing && { gone: unlisted(network, present(), listing.elements) });
  },
};

function addition(owner: Owner, addresses: readonly Cidr[], isKnown: boolean): SetsPlan {
  const added = elementsOf(owner, addresses);
  return (listing) => {
    if (listing === undefined) return isKnown ? undefined : { added };
    return { gone: ownIn(owner, listing), added };
  };
}

/** After a look, all that the owner has. */
function removal(owner: Owner, likely: readonly NftElement[] | undefined): SetsPlan {
  return (listing) => {
    const gone = listing === undefined ? likely : ownIn(owner, listing);
    return gone && { gone };
  };
}

/** The same address with the same length comes from several sources in DEL. */
function elementsOf(owner: Owner, addresses: readonly Cidr[]): NftElement[] {
  const comment = masqueradeComment(owner);
  const byText = new Map(addresses.map((cidr) => [cidr.ip.text, cidr]));
  return [...byText.values()].flatMap((cidr) => {
    const { family, text } = cidr.ip;
    return [
      { set: setName('masqueraded', family), key: text, data: '', comment },
      { set: setName('own_networks', family), key: `${text} . ${networkWord(cidr)}`, data: '', comment },
    ];
  });
}

/** What ADD has most likely made; `undefined` where that cannot be said without a look. */
function likelyElements(owner: Owner, addresses: Addresses, families: readonly Family[]): NftElement[] | undefined {
  if ('allBut' in addresses || !addresses.only.every(({ ip }) => families.includes(ip.family))) return undefined;
  return elementsOf(owner, addresses.only);
}

function ownIn(owner: Owner, { elements }: ElementListing): NftElement[] {
  const comment = masqueradeComment(owner);
  return elements.filter((element) => element.comment === comment && isOfMasquerade(element));
}
