/**
 * Masquerade in the reference's iptables rules: POSTROUTING sends what an address of ours sends to the container's chain,
 * which spares the own network and multicast and masquerades the rest.
 */
import { forAllBeside } from '../../lib/cni/errors.ts';
import { removeRulesOf } from '../../lib/firewall/owned.ts';
import { EMPTY } from '../../lib/firewall/rider.ts';
import { type ChainOwner, chainName } from '../../lib/iptables/chain-name.ts';
import {
  applyNat,
  applyNatBeside,
  hasRule,
  holdsAll,
  type NatPlan,
  type NatTable,
  saveIfSupported,
  saveNat,
} from '../../lib/iptables/nat.ts';
import { comment, hostCidr, optionOf, words } from '../../lib/iptables/rule.ts';
import { type Cidr, type Family, formatCidr, networkText } from '../../lib/net/ip.ts';
import type { Addresses, Masquerade } from './masquerade.ts';

const FAMILIES: readonly Family[] = [4, 6];

const MULTICAST: { readonly [F in Family]: string } = { 4: '224.0.0.0/4', 6: 'ff00::/8' };

export const iptablesMasquerade: Masquerade = {
  /** One transaction per family. */
  add(owner, addresses) {
    return forAllBeside(FAMILIES, async (family) => {
      const plan = additionOf(owner, addresses, family);
      if (plan !== undefined) await applyNatBeside(family, plan);
    });
  },
  /** With its last rule goes the owner's chain. */
  remove(owner, addresses, families) {
    return forAllBeside(FAMILIES, (family) =>
      removeFamily(owner, family, { addresses, isLikely: families.includes(family) }),
    );
  },
  adding(owner, addresses) {
    return { ...EMPTY, nat: (family) => additionOf(owner, addresses, family) };
  },
  removing(owner, addresses) {
    return { ...EMPTY, nat: (family) => removalOf(owner, ofFamily(addresses, family)) };
  },
  missing(owner, addresses) {
    return FAMILIES.flatMap((family) => {
      const own = ofFamily(addresses, family);
      if (
        own.length === 0 ||
        (family === 4 && holdsAll({ nat: wantedRules(owner, own).map(({ at, rule }) => `${at} ${rule}`) }))
      )
        return [];
      return findMissing(owner, own, saveNat(family));
    });
  },
  removeUnlisted({ network, present, warn }) {
    const found = new Set(FAMILIES.flatMap((family) => containersIn(saveIfSupported(family) ?? new Map(), network)));
    const known = new Set(present().map(({ containerId }) => containerId));
    const owners = [...found].filter((id) => !known.has(id)).map((containerId) => ({ network, containerId }));
    if (owners.length > 0) removeRulesOf({ addresses: [], network, owners, everywhere: true, warn });
  },
};

interface Leaving {
  readonly addresses: Addresses;
  /** False where rules are there only if the configuration has changed since: then it is looked first. */
  readonly isLikely: boolean;
}

async function removeFamily(owner: ChainOwner, family: Family, { addresses, isLikely }: Leaving): Promise<void> {
  const own: Addresses = 'only' in addresses ? { only: ofFamily(addresses.only, family) } : addresses;
  if ('only' in own && own.only.length === 0) return;
  if ('allBut' in own || !isLikely) {
    const seen = saveIfSupported(family);
    if (seen !== undefined) applyNat(family, (table) => planUnmasquerade(owner, own, table ?? seen), seen);
    return;
  }
  const plan = removalOf(owner, own.only);
  if (plan !== undefined) await applyNatBeside(family, plan);
}

function additionOf(owner: ChainOwner, addresses: readonly Cidr[], family: Family): NatPlan | undefined {
  const own = ofFamily(addresses, family);
  return own.length === 0 ? undefined : (table) => planMasquerade(owner, own, table);
}

/** `own` are of one family. */
function removalOf(owner: ChainOwner, own: readonly Cidr[]): NatPlan | undefined {
  if (own.length === 0) return undefined;
  return (table) =>
    table === undefined ? planUsualRemoval(owner, own) : planUnmasquerade(owner, { only: own }, table);
}

/** Once each: the kernel refuses to delete a rule twice, and what ADD recorded is mostly what was found, too. */
function ofFamily(addresses: readonly Cidr[], family: Family): Cidr[] {
  const byText = new Map(addresses.map((cidr) => [formatCidr(cidr), cidr]));
  return [...byText.values()].filter(({ ip }) => ip.family === family);
}

/** The rules that `addresses` (of one family) need, as texts after `-A CHAIN `. */
export function masqueradeRules(owner: ChainOwner, addresses: readonly Cidr[]) {
  const chain = chainName('CNI-', owner.network, owner.containerId);
  const note = comment(`name: "${owner.network}" id: "${owner.containerId}"`);
  const family = addresses[0]?.ip.family ?? 4;
  return {
    chain,
    spared: addresses.map((cidr) => `-d ${networkText(cidr)} ${note} -j ACCEPT`),
    masquerade: `! -d ${MULTICAST[family]} ${note} -j MASQUERADE`,
    jumps: addresses.map(({ ip }) => `-s ${hostCidr(ip.text, family)} ${note} -j ${chain}`),
  };
}

/**
 * Without `table`: as for a container seen for the first time, which is the usual case. The networks are spared before
 * anything is masqueraded, also those of a second address or interface.
 */
export function planMasquerade(owner: ChainOwner, addresses: readonly Cidr[], table: NatTable | undefined): string[] {
  const { chain, spared, masquerade, jumps } = masqueradeRules(owner, addresses);
  const missing = (at: string) => (rule: string) => table === undefined || !hasRule(table, at, rule);
  const isNew = table?.has(chain) !== true;
  const newSpared = [...new Set(spared)].filter(missing(chain));
  return [
    ...(isNew
      ? [`-N ${chain}`, ...newSpared.map((rule) => `-A ${chain} ${rule}`)]
      : newSpared.map((rule) => `-I ${chain} 1 ${rule}`)),
    ...[masquerade].filter(missing(chain)).map((rule) => `-A ${chain} ${rule}`),
    ...jumps.filter(missing('POSTROUTING')).map((rule) => `-A POSTROUTING ${rule}`),
  ];
}

/** As for a container with exactly `addresses`: what ADD made goes. */
function planUsualRemoval(owner: ChainOwner, addresses: readonly Cidr[]): string[] {
  const { chain, jumps } = masqueradeRules(owner, addresses);
  return [...jumps.map((rule) => `-D POSTROUTING ${rule}`), `-F ${chain}`, `-X ${chain}`];
}

/** What leads from `addresses` to the owner's chain goes, and the chain when no other jump needs it. */
export function planUnmasquerade(owner: ChainOwner, addresses: Addresses, table: NatTable): string[] {
  const chain = chainName('CNI-', owner.network, owner.containerId);
  const jumps = (table.get('POSTROUTING') ?? []).filter((rule) => jumpTarget(rule) === chain);
  const own = jumps.filter((rule) =>
    'only' in addresses ? isFrom(rule, addresses.only) : !isFrom(rule, addresses.allBut),
  );
  const chainGoes = table.has(chain) && own.length === jumps.length;
  return [...own.map((rule) => `-D POSTROUTING ${rule}`), ...(chainGoes ? [`-F ${chain}`, `-X ${chain}`] : [])];
}

/** Each with its chain. */
function wantedRules(owner: ChainOwner, addresses: readonly Cidr[]) {
  const { chain, spared, masquerade, jumps } = masqueradeRules(owner, addresses);
  return [
    ...[...spared, masquerade].map((rule) => ({ at: chain, rule })),
    ...jumps.map((rule) => ({ at: 'POSTROUTING', rule })),
  ];
}

/** What masquerading of `addresses` (of one family) lacks. */
function findMissing(owner: ChainOwner, addresses: readonly Cidr[], table: NatTable): string[] {
  return wantedRules(owner, addresses)
    .filter(({ at, rule }) => !hasRule(table, at, rule))
    .map(({ at, rule }) => `in chain ${at} of IPv${addresses[0]?.ip.family ?? 4} table nat: ${rule}`);
}

/** Containers of the network that masquerade: by the comment that each jump carries; the chain's name has to be what that container's would be. */
function containersIn(table: NatTable, network: string): string[] {
  const prefix = `name: "${network}" id: "`;
  return (table.get('POSTROUTING') ?? []).flatMap((rule) => {
    const note = optionOf(rule, '--comment') ?? '';
    const containerId = note.startsWith(prefix) ? note.slice(prefix.length, -1) : '';
    return containerId !== '' && jumpTarget(rule) === chainName('CNI-', network, containerId) ? [containerId] : [];
  });
}

function jumpTarget(rule: string): string | undefined {
  const parts = words(rule);
  return parts[parts.indexOf('-j') + 1];
}

/** Old versions of the reference wrote the source with the network's length: compare the address alone. */
function isFrom(rule: string, addresses: readonly Cidr[]): boolean {
  const parts = words(rule);
  const source = parts[parts.indexOf('-s') + 1] ?? '';
  return addresses.some((cidr) => source === hostCidr(cidr.ip.text, cidr.ip.family) || source === networkText(cidr));
}
