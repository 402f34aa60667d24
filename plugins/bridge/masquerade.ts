/** Masquerade towards the outside: what each firewall does for one attachment, and which one holds its rules. */
import type { BackendName } from '../../lib/firewall/backend.ts';
import type { Rider } from '../../lib/firewall/rider.ts';
import type { Cidr, Family } from '../../lib/net/ip.ts';
import type { MasqueradeOwner } from '../../lib/nft/masquerades.ts';
import { iptablesMasquerade } from './masquerade-iptables.ts';
import { nftMasquerade } from './masquerade-nft.ts';
import { setsMasquerade } from './masquerade-sets.ts';

/** Whose rules. In iptables the interfaces of one container on one network share a chain. */
export type Owner = MasqueradeOwner;

/**
 * The addresses to tear down. When nobody knows them any more: all of the owner's, but for those that the container's
 * other interfaces have.
 */
export type Addresses = { readonly only: readonly Cidr[] } | { readonly allBut: readonly Cidr[] };

export interface Masquerade {
  /**
   * Adds what is missing for `addresses`, beside what this process does meanwhile. `isKnown` is false where no earlier ADD
   * can have left rules. Rejects with ToolError.
   */
  add(owner: Owner, addresses: readonly Cidr[], isKnown: boolean): Promise<void>;
  /**
   * Missing rules are success; most likely they are of `families`, those that the configuration masquerades. Runs beside
   * what this process does meanwhile; does all it can before it rejects.
   */
  remove(owner: Owner, addresses: Addresses, families: readonly Family[]): Promise<void>;
  /** The same two in the transaction of somebody else's. */
  adding(owner: Owner, addresses: readonly Cidr[], isKnown: boolean): Rider;
  removing(owner: Owner, addresses: readonly Cidr[]): Rider;
  /** What is missing of the rules for `addresses`, each as a part of a sentence. Throws ToolError. */
  missing(owner: Owner, addresses: readonly Cidr[]): string[];
  /** Removes what is left of attachments that are not `present`. Throws ToolError. */
  removeUnlisted(listing: Listing): void;
}

export interface Listing {
  readonly network: string;
  /** Asked after the rules were looked at: an ADD that is at work wrote its record before its rules. */
  readonly present: () => readonly Owner[];
  readonly warn: (message: string) => void;
}

export const masquerades: { readonly [B in BackendName]: Masquerade } = {
  iptables: iptablesMasquerade,
  nftables: nftMasquerade,
  sets: setsMasquerade,
};
