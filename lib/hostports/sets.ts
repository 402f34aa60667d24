/** Host ports by elements of the table of ../nft/sets.ts, which hold everything that ./nft-rules.ts has rules for. */
import { CniError, code } from '../cni/errors.ts';
import { findTool } from '../exec.ts';
import { EMPTY } from '../firewall/rider.ts';
import {
  changeSets,
  changeSetsBeside,
  type ElementListing,
  listSets,
  type SetsPlan,
  together,
} from '../nft/elements.ts';
import { masqueradeComment } from '../nft/masquerades.ts';
import { isOfMasquerade, isPort, SETS_TABLE } from '../nft/sets.ts';
import { isGuarded } from '../nft/sets-guard.ts';
import { findMissing, placeOf } from '../nft/sets-plan.ts';
import type { NftElement } from '../nft/transaction.ts';
import { type Backend, orUnreadable } from './backend.ts';
import type { Forwarding } from './forwarding.ts';
import { elementsOf } from './sets-elements.ts';
import { strangersInSets } from './strangers.ts';

export const sets: Backend = {
  async add(tx, forwarding, { former, evicted = [], guard, rider = EMPTY }) {
    const added = elementsOf(forwarding);
    const left = former === undefined ? [] : [former];
    const plan: SetsPlan = (listing) => {
      const gone = elementsLeaving([...left, ...evicted], listing);
      if (listing !== undefined) refuseTaken(added, gone, listing.elements);
      return { gone, added, guard };
    };
    await tx.step(() => changeSetsBeside(together(plan, rider.sets)));
    const back = {
      gone: added,
      added: left.flatMap(elementsOf),
      guard: guard === 'make' ? 'remove' : undefined,
    } as const;
    tx.onFailure('remove the rules', () => changeSets(() => back));
    return { isGuarded: true };
  },
  remove(forwardings, { dropsGuard = false, rider = EMPTY } = {}) {
    const guard = dropsGuard ? 'remove' : undefined;
    const plan: SetsPlan = (listing) => ({ gone: elementsLeaving(forwardings, listing), guard });
    return changeSetsBeside(together(plan, rider.sets));
  },
  removeFound(attachment) {
    if (findTool('nft') === undefined) return;
    const plan: SetsPlan = (listing) => listing && { gone: elementsIn(listing, [attachment]) };
    changeSets(plan, () => orUnreadable(listSets));
  },
  strangers(known) {
    return strangersInSets(listSets().elements, new Set(known.map(masqueradeComment)));
  },
  isForwarding(forwarding) {
    return elementsIn(listSets(), [forwarding]).some(isPort);
  },
  missing(forwarding, { guarded } = { guarded: false }) {
    const listing = listSets();
    const missing = findMissing(elementsOf(forwarding), listing).map(({ place, what }) =>
      place === '' ? `table ${SETS_TABLE}` : `"${what}" in ${place} of table ${SETS_TABLE}`,
    );
    return [...(guarded && !isGuarded(listing) ? ['the guard of 127.0.0.0/8'] : []), ...missing];
  },
};

/** Without a look, what the attachments have been given; else all that they have, by its comments. */
function elementsLeaving(forwardings: readonly Forwarding[], listing: ElementListing | undefined): NftElement[] {
  return listing === undefined ? forwardings.flatMap(elementsOf) : elementsIn(listing, forwardings);
}

type Owner = Parameters<typeof masqueradeComment>[0];

function elementsIn({ elements }: ElementListing, owners: readonly Owner[]): NftElement[] {
  const comments = new Set(owners.map(masqueradeComment));
  return elements.filter((element) => comments.has(element.comment) && !isOfMasquerade(element));
}

/** Of another that left no record, or the registry of ports would have told. Throws code 107. */
function refuseTaken(added: readonly NftElement[], gone: readonly NftElement[], present: readonly NftElement[]): void {
  const wanted = new Set(added.filter(isPort).map(placeOf));
  const own = new Set([...added, ...gone].map(({ comment }) => comment));
  const taken = present.find((element) => wanted.has(placeOf(element)) && !own.has(element.comment));
  if (taken === undefined) return;
  const { set, key, data, comment } = taken;
  const [port, protocol] = key.split(' . ').toReversed();
  throw new CniError(code.portConflict, `cannot forward host port ${port}/${protocol}: it leads to ${data} already`, {
    details: `no record says whose it is, its comment is "${comment}"; "nft delete element ${SETS_TABLE} ${set} '{ ${key} }'" frees it`,
  });
}
