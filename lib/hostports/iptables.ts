/** The iptables backend: sends the plans of ./plan.ts to the nat table, one transaction per family. */
import { readRecords, readSiblings } from '../attachment/port-record-store.ts';
import { combineErrors, forAll, forAllBeside } from '../cni/errors.ts';
import type { Transaction } from '../cni/transaction.ts';
import { findTool } from '../exec.ts';
import { forwardsIn } from '../iptables/forwards.ts';
import { GUARD_RULES, type GuardChange, isGuardThere, planGuard } from '../iptables/localnet-guard.ts';
import {
  applyNat,
  applyTables,
  applyTablesBeside,
  type Changes,
  holdsAll,
  type NatPlan,
  type NatTable,
  saveIfSupported,
  saveNat,
  type Tables,
} from '../iptables/nat.ts';
import { inverseLines } from '../iptables/nat-lines.ts';
import type { Family } from '../net/ip.ts';
import { type Adding, type Backend, orUnreadable, UnreadableError } from './backend.ts';
import { type Attachment, FAMILIES, type Forwarding, familiesOf, targetOf } from './forwarding.ts';
import { findMissing, planAdd, planRemoval, planUsualAdd, planUsualRemoval, type Removal, usualRules } from './plan.ts';
import { dnatChain, rulesOf } from './rules.ts';
import { strangersInNat } from './strangers.ts';

export const iptables: Backend = {
  async add(tx, forwarding, adding) {
    const written = new Map<Family, Changes>();
    for (const family of FAMILIES) {
      const guard = family === 4 ? adding.guard : undefined;
      // The guard may be written when the rest is refused: each table is a transaction of its own.
      const back = () => takeBack(forwarding, family, { written: written.get(family) ?? { nat: [] }, guard });
      tx.onFailure(`remove the IPv${family} rules`, back);
    }
    await tx.step(() =>
      forAllBeside(FAMILIES, async (family) => {
        written.set(family, await addRules(forwarding, family, adding));
      }),
    );
    if (adding.former !== undefined) await removeAbandoned(tx, forwarding, adding.former);
    return { isGuarded: adding.guard === undefined || written.get(4)?.raw !== undefined };
  },
  remove(forwardings, { dropsGuard = false, rider } = {}) {
    return forAllBeside(FAMILIES, (family) =>
      removeAllRules(forwardings, family, { rider: rider?.nat(family), dropsGuard: dropsGuard && family === 4 }),
    );
  },
  removeFound(attachment, targets) {
    const unread: UnreadableError[] = [];
    forAll(FAMILIES, (family) => {
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
  strangers(known) {
    const chains = new Set(known.map(dnatChain));
    return FAMILIES.flatMap((family) => {
      const table = saveIfSupported(family);
      return table === undefined ? [] : strangersInNat(table, family, chains);
    });
  },
  isForwarding(forwarding) {
    return familiesOf(forwarding).some((family) => {
      const rules = saveIfSupported(family)?.get(dnatChain(forwarding)) ?? [];
      const addresses = addressesIn([forwarding], family);
      return forwardsIn(rules).some(({ address }) => addresses.includes(address));
    });
  },
  missing(forwarding, { guarded } = { guarded: false }) {
    const wanted = rulesOf(forwarding, 4);
    const usual = { nat: wanted === undefined ? [] : usualRules(wanted), raw: guarded ? GUARD_RULES : [] };
    const isIpv4There = holdsAll(usual);
    return [
      ...(guarded && !isIpv4There && !isGuardThere() ? ['the guard of 127.0.0.0/8'] : []),
      ...familiesOf(forwarding)
        .filter((family) => family === 6 || !isIpv4There)
        .flatMap((family) => missingRules(forwarding, family).map((what) => `${what} of the IPv${family} nat table`)),
    ];
  },
};

/** An earlier ADD that no DEL followed may have forwarded in a family in which this one has nothing to. */
async function removeAbandoned(tx: Transaction, forwarding: Forwarding, former: Forwarding): Promise<void> {
  for (const family of familiesOf(former)) {
    if (rulesOf(forwarding, family) !== undefined) continue;
    await tx.step(() => removeRules(former, family, { dropsGuard: false }));
    tx.onFailure(`restore the IPv${family} rules`, async () => void (await addRules(former, family, {})));
  }
}

/**
 * Adds the rules of one family. Returns what was written. For the holder of the lock of the host's ports: two processes at
 * once may both find a shared rule missing, and iptables-nft then adds it twice.
 */
async function addRules(forwarding: Forwarding, family: Family, adding: Adding): Promise<Changes> {
  const { former, evicted = [] } = adding;
  const guard = family === 4 ? adding.guard : undefined;
  const rider = adding.rider?.nat(family);
  const wanted = rulesOf(forwarding, family);
  const gone = evicted.filter((record) => targetOf(record, family) !== undefined);
  if (wanted === undefined && gone.length === 0 && rider === undefined) return { nat: [] };
  const removals = removalsOf(gone, { chain: dnatChain(forwarding), family });
  const neighbours = () => ({
    former: former === undefined ? undefined : rulesOf(former, family),
    living: addressesIn(withoutThose(readSiblings(forwarding), gone), family),
    dead: addressesIn(gone, family),
  });
  const planOwn = (table: NatTable | undefined) => {
    if (table === undefined) return wanted === undefined ? [] : planUsualAdd(wanted);
    const evictions = removals.flatMap((removal) => planRemoval(removal, table));
    return wanted === undefined ? evictions : [...evictions, ...planAdd(wanted, table, neighbours())];
  };
  return applyGuarded(family, { guard, plan: together(rider, planOwn), looksFirst: removals.length > 0 });
}

function together(rider: NatPlan | undefined, plan: NatPlan): NatPlan {
  return rider === undefined ? plan : (table) => [...rider(table), ...plan(table)];
}

/** One for each chain: everything in it but what leads to interfaces that live. `chain` is for planAdd() to clear. */
function removalsOf(gone: readonly Forwarding[], { chain, family }: { chain: string; family: Family }): Removal[] {
  const byChain = new Map(gone.map((record) => [dnatChain(record), record]));
  return [...byChain]
    .filter(([other]) => other !== chain)
    .map(([other, record]) => {
      const living = addressesIn(withoutThose(readRecords(record), gone), family);
      return { chain: other, addresses: undefined, living, entries: [] };
    });
}

function withoutThose(records: readonly Forwarding[], gone: readonly Forwarding[]): Forwarding[] {
  return records.filter(
    ({ network, containerId, ifname }) =>
      !gone.some((one) => one.network === network && one.containerId === containerId && one.ifname === ifname),
  );
}

interface Together {
  readonly rider?: NatPlan | undefined;
  readonly dropsGuard: boolean;
}

/** One after the other; what goes with them, with the first. */
async function removeAllRules(forwardings: readonly Forwarding[], family: Family, along: Together): Promise<void> {
  const [first, ...others] = forwardings.filter((forwarding) => rulesOf(forwarding, family) !== undefined);
  const errors: unknown[] = [];
  const attempt = (action: () => Promise<unknown>) => action().catch((error: unknown) => errors.push(error));
  await attempt(() => removeRules(first, family, along));
  for (const other of others) await attempt(() => removeRules(other, family, { dropsGuard: false }));
  if (errors.length > 0) throw combineErrors(errors);
}

/** Takes out the rules that `forwarding` made in one family. Missing ones are success. */
async function removeRules(
  forwarding: Forwarding | undefined,
  family: Family,
  { rider, dropsGuard }: Together,
): Promise<void> {
  const wanted = forwarding === undefined ? undefined : rulesOf(forwarding, family);
  if (wanted === undefined && rider === undefined && !dropsGuard) return;
  const planOwn = (table: NatTable | undefined) => {
    if (wanted === undefined) return [];
    const { chain, address, entries } = wanted;
    return table === undefined
      ? planUsualRemoval(wanted)
      : planRemoval({ chain, addresses: [address], entries }, table);
  };
  // Beside another interface's rules the usual transaction is bound to be refused.
  const looksFirst = forwarding !== undefined && readSiblings(forwarding).length > 0;
  await applyGuarded(family, { guard: dropsGuard ? 'remove' : undefined, plan: together(rider, planOwn), looksFirst });
}

interface Guarded {
  readonly guard?: GuardChange | undefined;
  readonly plan: NatPlan;
  readonly looksFirst: boolean;
}

/** The guard of 127.0.0.0/8 in the same call as the rules. */
async function applyGuarded(family: Family, { guard, plan: planNat, looksFirst }: Guarded): Promise<Changes> {
  const plan = (tables: Tables | undefined): Changes => {
    const nat = planNat(tables?.nat);
    return guard === undefined ? { nat } : { nat, raw: planGuard(guard, tables) };
  };
  const look = () => ({ nat: saveNat(family), raw: guard === undefined ? undefined : saveIfSupported(family, 'raw') });
  const planning = { plan, look };
  return looksFirst ? applyTables(family, planning, look()) : applyTablesBeside(family, planning);
}

/** What sends to its addresses, or everything in its chain when they are unknown. Without its tools a family has no rules. */
function removeFoundRules(attachment: Attachment, family: Family, targets: Forwarding['targets']): void {
  if (findTool(family === 4 ? 'iptables-save' : 'ip6tables-save') === undefined) return;
  const chain = dnatChain(attachment);
  const own = targetOf({ targets }, family)?.ip.text;
  const isKnown = targets[4] !== undefined || targets[6] !== undefined;
  const addresses = isKnown ? [own].filter((address) => address !== undefined) : undefined;
  const removal = { chain, addresses, living: addressesIn(readSiblings(attachment), family), entries: [] };
  applyNat(
    family,
    (table) => planRemoval(removal, table ?? new Map()),
    orUnreadable(() => saveNat(family)),
  );
}

/** What is missing of the rules of one family. */
function missingRules(forwarding: Forwarding, family: Family): string[] {
  const wanted = rulesOf(forwarding, family);
  return wanted === undefined ? [] : findMissing(wanted, saveNat(family));
}

function addressesIn(records: readonly Forwarding[], family: Family): string[] {
  return records.flatMap((record) => targetOf(record, family)?.ip.text ?? []);
}

interface Written {
  readonly written: Changes;
  readonly guard: Adding['guard'];
}

/** Exactly the lines of this call, so that a refused second ADD leaves the first one's rules alone; the dead stay dead. */
async function takeBack(forwarding: Forwarding, family: Family, { written, guard }: Written): Promise<void> {
  const chain = dnatChain(forwarding);
  const back = inverseLines(written.nat, chain);
  const addresses = addressesIn([forwarding], family);
  const plan = (table: NatTable | undefined) =>
    table === undefined ? back : planRemoval({ chain, addresses, entries: [] }, table);
  await applyGuarded(family, { guard: guard === 'make' ? 'remove' : undefined, plan, looksFirst: false });
}
