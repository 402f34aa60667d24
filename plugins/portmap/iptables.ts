/** The iptables backend: sends the plans of ./plan.ts to the nat table, one transaction per family. */
import { readSiblings, STATE_FOLDER } from '../../lib/attachment/port-record-store.ts';
import { asCniError, combineErrors } from '../../lib/cni/errors.ts';
import type { Transaction } from '../../lib/cni/transaction.ts';
import { findTool } from '../../lib/exec.ts';
import { applyNat, type NatTable, saveNat, tryRestoreNat } from '../../lib/iptables/nat.ts';
import { inverseLines } from '../../lib/iptables/nat-lines.ts';
import { withLock } from '../../lib/linux/lock.ts';
import type { Family } from '../../lib/net/ip.ts';
import { type Adding, type Backend, UnreadableError } from './backend.ts';
import { type Attachment, FAMILIES, type Forwarding, familiesOf, targetOf } from './forwarding.ts';
import { findMissing, type Neighbours, planAdd, planRemoval, planUsualAdd, planUsualRemoval } from './plan.ts';
import { dnatChain, rulesOf } from './rules.ts';

const LOCK_DEADLINE_MS = 60_000;

export const iptables: Backend = {
  async add(tx, forwarding, adding) {
    for (const family of familiesOf(forwarding)) {
      const takeBack = await tx.step(() => addRules(forwarding, family, adding));
      tx.onFailure(`remove the IPv${family} rules`, takeBack);
    }
    if (adding.former !== undefined) await removeAbandoned(tx, forwarding, adding.former);
  },
  remove(forwardings) {
    const all = forwardings.flatMap((forwarding) => familiesOf(forwarding).map((family) => ({ forwarding, family })));
    doAll(all, ({ forwarding, family }) => removeRules(forwarding, family));
  },
  removeFound(attachment, targets) {
    const unread: UnreadableError[] = [];
    doAll(FAMILIES, (family) => {
      try {
        removeFoundRules(attachment, family, targets);
      } catch (error) {
        if (!(error instanceof UnreadableError) || targets[family] !== undefined) throw error;
        unread.push(error);
      }
    });
    // A host without one of the families has no rules of it.
    if (unread.length === FAMILIES.length) throw unread[0];
  },
  missing(forwarding) {
    return familiesOf(forwarding).flatMap((family) =>
      missingRules(forwarding, family).map((what) => `${what} of the IPv${family} nat table`),
    );
  },
};

function doAll<T>(items: readonly T[], action: (item: T) => void): void {
  const errors: unknown[] = [];
  for (const item of items) {
    try {
      action(item);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw combineErrors(errors);
}

/** An earlier ADD that no DEL followed may have had an address of a family that this one has not. */
async function removeAbandoned(tx: Transaction, forwarding: Forwarding, former: Forwarding): Promise<void> {
  for (const family of familiesOf(former)) {
    if (targetOf(forwarding, family) !== undefined) continue;
    await tx.step(() => removeRules(former, family));
    tx.onFailure(`restore the IPv${family} rules`, async () => {
      await addRules(former, family, { checkpoint: async () => {} });
    });
  }
}

/** Adds the rules of one family. Returns the way back. Throws ToolError, or code 11 when a lock was not free in time. */
async function addRules(forwarding: Forwarding, family: Family, adding: Adding): Promise<() => void> {
  const wanted = rulesOf(forwarding, family);
  if (wanted === undefined) return () => {};
  const usual = planUsualAdd(wanted);
  const plan = (table: NatTable | undefined) =>
    table === undefined ? usual : planAdd(wanted, table, neighboursOf(forwarding, family, adding.former));
  const written =
    tryRestoreNat(family, usual) === undefined ? usual : await withTableLock(adding, () => applyNat(family, plan));
  return () => takeBack(forwarding, family, written);
}

function neighboursOf(forwarding: Forwarding, family: Family, former: Forwarding | undefined): Neighbours {
  return {
    former: former === undefined ? undefined : rulesOf(former, family),
    living: livingAddresses(forwarding, family),
  };
}

/** Of the container's other interfaces on this network. */
function livingAddresses(attachment: Attachment, family: Family): string[] {
  return readSiblings(attachment).flatMap((sibling) => addressesOf(sibling, family));
}

/**
 * Two processes at once may both find a shared rule missing, and iptables-nft then adds it twice: when somebody else
 * commits first, it plays the lines again but skips the creation of chains that are there by now.
 */
function withTableLock<T>({ checkpoint }: Adding, action: () => T): Promise<T> {
  const options = { mode: 0o600, deadlineMs: LOCK_DEADLINE_MS, checkpoint };
  return withLock(`${STATE_FOLDER}/lock`, options, async () => action());
}

/** Takes out the rules that `forwarding` made in one family. Missing ones are success. */
function removeRules(forwarding: Forwarding, family: Family): void {
  const wanted = rulesOf(forwarding, family);
  if (wanted === undefined) return;
  const { chain, address, entries } = wanted;
  // Beside another interface's rules the usual transaction is bound to be refused.
  const seen = readSiblings(forwarding).length > 0 ? saveNat(family) : undefined;
  const plan = (table: NatTable | undefined) =>
    table === undefined ? planUsualRemoval(wanted) : planRemoval({ chain, addresses: [address], entries }, table);
  applyNat(family, plan, seen);
}

/** What sends to its addresses, or everything in its chain when they are unknown. Without its tools a family has no rules. */
function removeFoundRules(attachment: Attachment, family: Family, targets: Forwarding['targets']): void {
  if (findTool(family === 4 ? 'iptables-save' : 'ip6tables-save') === undefined) return;
  const chain = dnatChain(attachment);
  const own = targetOf({ targets }, family)?.ip.text;
  const isKnown = targets[4] !== undefined || targets[6] !== undefined;
  const addresses = isKnown ? [own].filter((address) => address !== undefined) : undefined;
  const removal = { chain, addresses, living: livingAddresses(attachment, family), entries: [] };
  applyNat(family, (table) => planRemoval(removal, table ?? new Map()), look(family));
}

function look(family: Family): NatTable {
  try {
    return saveNat(family);
  } catch (error) {
    const { code, message, details } = asCniError(error);
    throw new UnreadableError(code, message, { details, cause: error });
  }
}

/** What is missing of the rules of one family. */
function missingRules(forwarding: Forwarding, family: Family): string[] {
  const wanted = rulesOf(forwarding, family);
  return wanted === undefined ? [] : findMissing(wanted, saveNat(family));
}

function addressesOf(forwarding: Forwarding, family: Family): string[] {
  const target = targetOf(forwarding, family);
  return target === undefined ? [] : [target.ip.text];
}

/** Exactly the lines of this call, so that a refused second ADD leaves the first one's rules alone. */
function takeBack(forwarding: Forwarding, family: Family, written: readonly string[]): void {
  const chain = dnatChain(forwarding);
  const back = inverseLines(written, chain);
  const addresses = addressesOf(forwarding, family);
  applyNat(family, (table) => (table === undefined ? back : planRemoval({ chain, addresses, entries: [] }, table)));
}
