/** The nftables backend: one transaction per verb over the tables of both families (./nft-rules.ts). */
import { readAllRecords } from '../attachment/port-record-store.ts';
import { findTool } from '../exec.ts';
import { type Family, parseCidr } from '../net/ip.ts';
import { HOSTPORT_TABLES, hostportRules } from '../nft/hostports.ts';
import { isGuardThere, makingGuard, removingGuard } from '../nft/localnet-guard.ts';
import { applyNft, applyNftBeside, list } from '../nft/nft.ts';
import { deletion } from '../nft/owned.ts';
import type { NftTransaction } from '../nft/transaction.ts';
import { type Backend, orUnreadable } from './backend.ts';
import { type Attachment, FAMILIES, type Forwarding, familiesOf } from './forwarding.ts';
import { type Elsewhere, findMissing, planRemoval, planTakingBack, type Removal } from './nft-plan.ts';
import { addOwned, ensureShared, nftRulesOf } from './nft-rules.ts';
import { holdingsOf, strangersInNft } from './strangers.ts';

export const nftables: Backend = {
  async add(tx, forwarding, { former, evicted = [], guard, rider }) {
    const gone = former === undefined ? evicted : [former, ...evicted];
    const making = guard === undefined ? [] : [makingGuard()];
    const riding = () => rider?.nft() ?? [];
    await tx.step(() => applyNftBeside(() => [...making, ...riding(), ...planAdd(forwarding, gone)]));
    const removing = guard === 'make' ? [removingGuard()] : [];
    tx.onFailure('remove the rules', () => applyNft(() => [...planReturn(forwarding, former), ...removing]));
    return { isGuarded: true };
  },
  remove(forwardings, { dropsGuard = false, rider } = {}) {
    const plan = () => [...(rider?.nft() ?? []), ...deletions(forwardings.map(departureOf))];
    return applyNftBeside(() => [...plan(), ...(dropsGuard ? [removingGuard()] : [])]);
  },
  removeFound(attachment, targets) {
    if (findTool('nft') === undefined) return;
    const addresses = FAMILIES.flatMap((family) => parseCidr(targets[family] ?? '')?.ip.text ?? []);
    const families = FAMILIES.filter((family) => addresses.length === 0 || targets[family] !== undefined);
    const { containerId } = attachment;
    const removal = { containerId, addresses: addresses.length === 0 ? undefined : addresses, own: [] };
    applyNft(() => deletions([{ attachment, families, removal }], (...table) => orUnreadable(() => list(...table))));
  },
  strangers(known) {
    const own = new Set(known.flatMap(holdingsOf));
    return FAMILIES.flatMap((family) => strangersInNft(hostportRules(list(HOSTPORT_TABLES[family])), family, own));
  },
  isForwarding(forwarding) {
    const own = holdingsOf(forwarding);
    return familiesOf(forwarding).some((family) => {
      const rules = hostportRules(list(HOSTPORT_TABLES[family]));
      return strangersInNft(rules, family, new Set())
        .flatMap(holdingsOf)
        .some((key) => own.includes(key));
    });
  },
  missing(forwarding, { guarded } = { guarded: false }) {
    const rules = familiesOf(forwarding).flatMap((family) => {
      const wanted = nftRulesOf(forwarding, family);
      return wanted === undefined ? [] : findMissing(wanted, list(wanted.table));
    });
    return [...(guarded && !isGuardThere() ? ['the guard of 127.0.0.0/8'] : []), ...rules];
  },
};

/** Looks at what is there only when something has to go. */
function planAdd(forwarding: Forwarding, gone: readonly Forwarding[]): NftTransaction[] {
  return [...deletions(gone.map(departureOf)), ...additions(forwarding)];
}

function additions(forwarding: Forwarding): NftTransaction[] {
  return familiesOf(forwarding).flatMap((family) => {
    const wanted = nftRulesOf(forwarding, family);
    return wanted === undefined ? [] : [addOwned(ensureShared(wanted), wanted)];
  });
}

/** Exactly the rules of this call go, so that a refused second ADD leaves the first one's alone. */
function planReturn(forwarding: Forwarding, former: Forwarding | undefined): NftTransaction[] {
  const removals = familiesOf(forwarding).map((family) => {
    const wanted = nftRulesOf(forwarding, family);
    const table = HOSTPORT_TABLES[family];
    return deletion(table, wanted === undefined ? [] : planTakingBack(wanted, hostportRules(list(table))));
  });
  return [...removals, ...(former === undefined ? [] : additions(former))];
}

/** An attachment of which rules go. */
interface Departure {
  readonly attachment: Attachment;
  readonly families: readonly Family[];
  readonly removal: Removal;
}

function departureOf(forwarding: Forwarding): Departure {
  const families = familiesOf(forwarding);
  const addresses = families.flatMap((family) => addressOf(forwarding, family));
  const own = families.flatMap((family) => nftRulesOf(forwarding, family)?.owned ?? []);
  const { containerId } = forwarding;
  return { attachment: forwarding, families, removal: { containerId, addresses, own } };
}

/** Each table is read once. */
function deletions(departures: readonly Departure[], read: typeof list = list): NftTransaction[] {
  return FAMILIES.flatMap((family) => {
    const leaving = departures.filter(({ families }) => families.includes(family));
    if (leaving.length === 0) return [];
    const table = HOSTPORT_TABLES[family];
    const rules = hostportRules(read(table));
    const gone = leaving.flatMap(({ attachment, removal }) =>
      planRemoval(removal, rules, () => elsewhereOf(attachment)),
    );
    return [deletion(table, [...new Set(gone)])];
  });
}

function elsewhereOf({ network, containerId, ifname }: Attachment): Elsewhere {
  const records = readAllRecords().filter(
    (record) => record.containerId === containerId && !(record.network === network && record.ifname === ifname),
  );
  const parts = records.flatMap((record) => FAMILIES.map((family) => ({ record, family })));
  return {
    addresses: parts.flatMap(({ record, family }) => addressOf(record, family)),
    owned: parts.flatMap(({ record, family }) => nftRulesOf(record, family)?.owned ?? []),
  };
}

function addressOf({ targets }: Forwarding, family: Family): string[] {
  return [targets[family]].flatMap((target) => parseCidr(target ?? '')?.ip.text ?? []);
}
