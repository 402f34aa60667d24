/** What each firewall does for one attachment's forwarded ports, in all of its families. */
import { asCniError, CniError } from '../cni/errors.ts';
import type { Transaction } from '../cni/transaction.ts';
import type { Rider } from '../firewall/rider.ts';
import type { Attachment, Forwarding } from './forwarding.ts';

export interface Backend {
  /**
   * Adds the rules, in place of those of `former` and `evicted`. The ways back go to `tx` and leave the dead dead. For the
   * holder of the lock of the host's ports. Throws ToolError, or code 11 for the xtables lock.
   */
  add(tx: Transaction, forwarding: Forwarding, adding: Adding): Promise<Added>;
  /**
   * Takes out the rules of all of `forwardings`. Missing ones are success. Runs beside what this process does meanwhile;
   * does all it can before it rejects.
   */
  remove(forwardings: readonly Forwarding[], options?: Removing): Promise<void>;
  /**
   * Takes out what is found of an attachment that left no record, such as one that the reference made: what sends to
   * `targets`, or all of the container's when there are none. Throws UnreadableError when it could look nowhere.
   */
  removeFound(attachment: Attachment, targets: Forwarding['targets']): void;
  /**
   * What is forwarded by rules that none of `known` made, such as the reference's: of each container and address as if it
   * had been recorded. The network is '' where rules do not say. Throws ToolError.
   */
  strangers(known: readonly Forwarding[]): Forwarding[];
  /** Whether anything that sends to the attachment is there. Throws ToolError. */
  isForwarding(forwarding: Forwarding): boolean;
  /**
   * What is missing of the rules, each as a part of a sentence: `rule "…" in chain … of the IPv4 nat table`; with `guarded`
   * also the guard of 127.0.0.0/8.
   */
  missing(forwarding: Forwarding, options?: { readonly guarded: boolean }): string[];
}

export interface Removing {
  /** Takes the guard of 127.0.0.0/8 away, too. */
  readonly dropsGuard?: boolean;
  readonly rider?: Rider | undefined;
}

export interface Adding {
  /** What an earlier ADD of the attachment had recorded, of the same firewall. */
  readonly former?: Forwarding | undefined;
  /** What dead containers had forwarded, by the same firewall: it goes in the same transaction. */
  readonly evicted?: readonly Forwarding[];
  /** The guard of 127.0.0.0/8, in the same call: `make` it, or `expect` it beside others that need it, too. */
  readonly guard?: 'make' | 'expect' | undefined;
  /** Its way back is somebody else's business. */
  readonly rider?: Rider | undefined;
}

export interface Added {
  /** False when this kernel cannot have the guard that was asked for. */
  readonly isGuarded: boolean;
}

/** Nobody knows what is there: perhaps the kernel has none of it. */
export class UnreadableError extends CniError {}

/** What `look()` sees. Throws UnreadableError for all that it throws. */
export function orUnreadable<T>(look: () => T): T {
  try {
    return look();
  } catch (error) {
    const { code, message, details } = asCniError(error);
    throw new UnreadableError(code, message, { details, cause: error });
  }
}

/** The way back of a way back: does what it is told and registers nothing. */
export const WITHOUT_UNDO: Transaction = { step: async (action) => action(), onFailure: () => {} };
