/** How elements of the table of ./sets.ts come and go, as pure functions of what is there. */
import type { ChainOwner } from '../iptables/chain-name.ts';
import type { ElementListing } from './elements.ts';
import { ifnameIn, isOf, networkKey } from './masquerades.ts';
import type { DeadRules } from './owned-plan.ts';
import { addressIn, ensureSets, SETS_TABLE, SHARED_RULES } from './sets.ts';
import { makingGuard, removingGuard } from './sets-guard.ts';
import { type ElementRef, type NftElement, NftTransaction } from './transaction.ts';

export interface SetsChange {
  /** Those that are there are deleted. */
  readonly gone?: readonly NftElement[];
  /** Comes in place of whatever stands under the same keys. */
  readonly added?: readonly NftElement[];
  /** The guard of 127.0.0.0/8: `make` where none is known, `expect` beside others that need it, `remove` with the last. */
  readonly guard?: 'make' | 'expect' | 'remove' | undefined;
}

/**
 * One transaction. Without `listing` for the usual case: the table is there, all of `gone` is and nothing of `added`; refused
 * as a whole otherwise. Where it only adds, nothing that is shared is touched, since the kernel ends a transaction that
 * changes what is there only after a while (an RCU grace period). One that has to wait anyway makes all that is shared anew.
 */
export function planSets({ gone = [], added = [], guard }: SetsChange, listing?: ElementListing): NftTransaction[] {
  if (listing === undefined && gone.length === 0 && (guard === undefined || guard === 'expect')) {
    return [new NftTransaction(SETS_TABLE).createElements(added)];
  }
  const leaving = listing === undefined ? gone : presentOf(gone, added, listing.elements);
  const isNothing = leaving.length === 0 && (guard === undefined || listing?.chains.size === 0);
  if (added.length === 0 && isNothing) return [];
  const guarding = guard === undefined ? [] : [guard === 'remove' ? removingGuard() : makingGuard()];
  const elements = new NftTransaction(SETS_TABLE).deleteElements(leaving).createElements(added);
  return [ensureSets(), ...guarding, elements];
}

/** Of `present`, what is among `gone` or stands where one of `added` has to. */
function presentOf(gone: readonly NftElement[], added: readonly NftElement[], present: readonly NftElement[]) {
  const owned = new Set(gone.map(ownedKey));
  const taken = new Set(added.map(placeOf));
  return present.filter((element) => owned.has(ownedKey(element)) || taken.has(placeOf(element)));
}

/** The same for two elements of which only one can be there. */
export function placeOf({ set, key }: ElementRef): string {
  return `${set}\n${key}`;
}

function ownedKey(element: NftElement): string {
  return `${placeOf(element)}\n${element.comment}`;
}

export interface Missing {
  /** `map host_ports4`, `chain output`; '' when all of it is. */
  readonly place: string;
  /** `tcp . 8080`, or a rule. */
  readonly what: string;
}

/** What of the shared rules and of `wanted` is not there. */
export function findMissing(wanted: readonly NftElement[], { chains, rules, elements }: ElementListing): Missing[] {
  if (chains.size === 0) return [{ place: '', what: '' }];
  const there = new Set(rules.map(({ chain, text }) => `${chain}\n${text}`));
  const present = new Map(elements.map((element) => [ownedKey(element), element.data]));
  return [
    ...SHARED_RULES.filter(({ chain, text }) => !there.has(`${chain}\n${text}`)).map(({ chain, text }) => ({
      place: `chain ${chain}`,
      what: text,
    })),
    ...wanted
      .filter((element) => present.get(ownedKey(element)) !== element.data)
      .map(({ set, key, data }) => ({ place: `${data === '' ? 'set' : 'map'} ${set}`, what: key })),
  ];
}

/**
 * What goes with dead attachments: all elements of each that has a dead address, and those of dead containers. A comment
 * names the network, which may be another one that has the same addresses.
 */
export function deadElements(dead: DeadRules, elements: readonly NftElement[]): NftElement[] {
  const keys = dead.networks.map(networkKey);
  const isAbout = (element: NftElement) =>
    dead.addresses.includes(addressIn(element)) && keys.some((key) => element.comment.startsWith(key));
  const comments = new Set(elements.filter(isAbout).map(({ comment }) => comment));
  return elements.filter((element) => comments.has(element.comment) || isOfAny(dead.owners)(element));
}

function isOfAny(owners: readonly ChainOwner[]): (element: NftElement) => boolean {
  return (element) => owners.some((owner) => isOf({ ...owner, ifname: ifnameIn(element) })(element));
}
