/**
 * Rules that drop what a bridge port sends under another MAC address than its container's, laid out and commented as the
 * reference's, so that either side can take the other's away: table `bridge nat`, whose PREROUTING sends what comes in
 * by the port to the attachment's chain, that to a second one, which lets the one address return and drops the rest.
 */
import { CniError, code } from '../cni/errors.ts';
import { ToolError } from '../exec.ts';
import { linkNames } from '../linux/links.ts';
import { applyNft, list, type NftRule } from './nft.ts';
import { NftTransaction } from './transaction.ts';

/** Whose rules. */
export interface Spoofer {
  readonly containerId: string;
  readonly ifname: string;
}

export interface SpoofCheck extends Spoofer {
  /** Name of the bridge port. */
  readonly port: string;
  /** What the container may send under. */
  readonly mac: string;
}

const TABLE = 'bridge nat';
const BASE = 'PREROUTING';
const COMMENT_PREFIX = 'macspoofchk-';

/** Of a rule's comment, in bytes (libnftnl: NFTNL_UDATA_COMMENT_MAXLEN): the reference compares it whole. */
const MAX_COMMENT = 128;

/** Adds the rules in one transaction; those of an earlier attempt of the same attachment give way. Throws ToolError. */
export function addSpoofCheck(check: SpoofCheck): void {
  try {
    applyNft(() => [planSpoofCheck(check)]);
  } catch (error) {
    if (!(error instanceof ToolError) || !error.stderr.includes('File exists')) throw error;
    applyNft(() => [planRemoval([check], list(TABLE, BASE).rules), planSpoofCheck(check)]);
  }
}

/** Pure: a chain that is there already makes it fail, so no jump is ever added twice. */
export function planSpoofCheck(check: SpoofCheck): NftTransaction {
  const { chain, macChain, comment } = namesOf(check);
  const transaction = new NftTransaction(TABLE)
    .addTable()
    .addChain(BASE, { hook: 'type filter hook prerouting priority -300; policy accept' })
    .createChain(chain)
    .createChain(macChain);
  for (const { at, rule } of rulesOf(check)) transaction.addRule(at, rule, comment);
  return transaction;
}

/** Which chain holds what, in the words of ./rule-text.ts. */
function rulesOf(check: SpoofCheck): readonly { at: string; rule: string }[] {
  const { chain, macChain } = namesOf(check);
  return [
    { at: BASE, rule: `meta iifname ${check.port} jump ${chain}` },
    { at: chain, rule: `jump ${macChain}` },
    { at: macChain, rule: `ether saddr ${check.mac} return` },
    { at: macChain, rule: 'drop' },
  ];
}

/** nft's input has no form for other characters in a chain's name. Throws code 7. */
function namesOf({ containerId, ifname }: Spoofer) {
  const id = `${containerId}-${ifname}`;
  const comment = `${COMMENT_PREFIX}${id}`;
  if (!/^[\w.-]+$/.test(id) || comment.length > MAX_COMMENT) {
    throw new CniError(code.invalidConfig, `cannot name the rules against spoofed MAC addresses after ${id}`, {
      details: `"macspoofchk" needs a container ID and an interface name of letters, digits, ".", "_" and "-", and of at most ${MAX_COMMENT - COMMENT_PREFIX.length - 1} together`,
    });
  }
  const chain = `cni-br-iface-${id}`;
  return { chain, macChain: `${chain}-mac`, comment };
}

/** Takes the rules of all `spoofers` away; none there is success. The table stays. Throws ToolError. */
export function removeSpoofChecks(spoofers: readonly Spoofer[]): void {
  // What has no name has no rules either.
  const named = spoofers.filter(hasNames);
  if (named.length === 0) return;
  applyNft(() => {
    const { chains, rules } = list(TABLE, BASE);
    return chains.size === 0 ? [] : [planRemoval(named, rules)];
  });
}

function hasNames(spoofer: Spoofer): boolean {
  try {
    namesOf(spoofer);
    return true;
  } catch {
    return false;
  }
}

/** Pure; `rules` are those of the base chain. */
export function planRemoval(spoofers: readonly Spoofer[], rules: readonly NftRule[]): NftTransaction {
  const transaction = new NftTransaction(TABLE);
  for (const spoofer of spoofers) {
    const { chain, macChain, comment } = namesOf(spoofer);
    for (const rule of rules) if (rule.comment === comment) transaction.deleteRule(rule);
    transaction.dropChains([chain, macChain]);
  }
  return transaction;
}

/** Takes away what the reference left when a port went without a DEL. Throws ToolError. */
export function removeOrphanedSpoofChecks(): void {
  applyNft(() => [planOrphans(list(TABLE, BASE).rules, linkNames())]);
}

const JUMP = /^meta iifname (\S+) jump (cni-br-iface-[\w.-]+)$/;

/** Pure: the rules of ports that are not among `links` match nothing any more. */
export function planOrphans(rules: readonly NftRule[], links: ReadonlySet<string>): NftTransaction {
  const jumps = rules.flatMap((rule) => {
    const [, port, chain] = JUMP.exec(rule.text) ?? [];
    const isOurs = rule.comment.startsWith(COMMENT_PREFIX) && port !== undefined && chain !== undefined;
    return isOurs ? [{ rule, chain, isOrphan: !links.has(port) }] : [];
  });
  const orphans = jumps.filter(({ isOrphan }) => isOrphan);
  // A second ADD of the reference's adds a second jump to the same chain.
  const used = new Set(jumps.filter(({ isOrphan }) => !isOrphan).map(({ chain }) => chain));
  const transaction = new NftTransaction(TABLE);
  for (const { rule } of orphans) transaction.deleteRule(rule);
  for (const chain of new Set(orphans.map((orphan) => orphan.chain))) {
    if (!used.has(chain)) transaction.dropChains([chain, `${chain}-mac`]);
  }
  return transaction;
}

/** The first rule of `check` that is not there, `undefined` when all are. Throws ToolError. */
export function missingSpoofRule(check: SpoofCheck): string | undefined {
  const { comment } = namesOf(check);
  const own = list(TABLE).rules.filter((rule) => rule.comment === comment);
  const missing = rulesOf(check).find(({ at, rule }) => !own.some(({ chain, text }) => chain === at && text === rule));
  return missing?.rule;
}
