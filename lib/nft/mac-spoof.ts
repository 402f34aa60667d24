/**
 * Rules that drop what a bridge port sends under another MAC address than its container's, laid out and commented as the
 * reference's, so that either side can take the other's away: table `bridge nat`, whose PREROUTING sends what comes in
 * by the port to the attachment's chain, that to a second one, which lets the one address return and drops the rest.
 */
import { CniError, code } from '../cni/errors.ts';
import { run, ToolError } from '../exec.ts';
import { linkNames } from '../linux/links.ts';

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
const CHAIN_PREFIX = 'cni-br-iface-';
const COMMENT_PREFIX = 'macspoofchk-';

/** Of a rule's comment, in bytes (libnftnl: NFTNL_UDATA_COMMENT_MAXLEN). */
const MAX_COMMENT = 128;

/** A rule as nft prints it, and the number to delete it by. */
export interface ListedRule {
  readonly text: string;
  readonly handle: string;
}

/** Adds the rules in one transaction; those of an earlier attempt of the same attachment give way. Throws ToolError. */
export function addSpoofCheck(check: SpoofCheck): void {
  try {
    apply(planSpoofCheck(check));
  } catch (error) {
    if (!(error instanceof ToolError) || !error.stderr.includes('File exists')) throw error;
    apply([...planRemoval([check], listBase() ?? []), ...planSpoofCheck(check)]);
  }
}

/** Pure: `create` fails where the chain is there already, so no jump is ever added twice. */
export function planSpoofCheck({ port, mac, ...spoofer }: SpoofCheck): string[] {
  const { chain, macChain } = chainsOf(spoofer);
  const rules = rulesOf({ port, mac, ...spoofer });
  return [
    `add table ${TABLE}`,
    `add chain ${TABLE} ${BASE} { type filter hook prerouting priority -300; policy accept; }`,
    `create chain ${TABLE} ${chain}`,
    `create chain ${TABLE} ${macChain}`,
    ...rules.map(({ at, rule }) => `add rule ${TABLE} ${at} ${rule}`),
  ];
}

/** Pure: which chain holds what, as nft prints it. */
export function rulesOf({ port, mac, ...spoofer }: SpoofCheck): readonly { at: string; rule: string }[] {
  const { chain, macChain, comment } = chainsOf(spoofer);
  return [
    { at: BASE, rule: `iifname "${port}" jump ${chain} ${comment}` },
    { at: chain, rule: `jump ${macChain} ${comment}` },
    { at: macChain, rule: `ether saddr ${mac} return ${comment}` },
    { at: macChain, rule: `drop ${comment}` },
  ];
}

/** nft's input has no form for other characters in a chain's name. Throws code 7. */
function chainsOf({ containerId, ifname }: Spoofer) {
  const id = `${containerId}-${ifname}`;
  const text = `${COMMENT_PREFIX}${id}`;
  if (!/^[\w.-]+$/.test(id) || text.length > MAX_COMMENT) {
    throw new CniError(code.invalidConfig, `cannot name the rules against spoofed MAC addresses after ${id}`, {
      details: `"macspoofchk" needs a container ID and an interface name of letters, digits, ".", "_" and "-", and of at most ${MAX_COMMENT - COMMENT_PREFIX.length - 1} together`,
    });
  }
  const chain = `${CHAIN_PREFIX}${id}`;
  return { chain, macChain: `${chain}-mac`, comment: `comment "${text}"` };
}

/** Takes the rules of all `spoofers` away; none there is success. The table stays. Throws ToolError. */
export function removeSpoofChecks(spoofers: readonly Spoofer[]): void {
  if (spoofers.length === 0) return;
  // A name that has no form has no rules either.
  const named = spoofers.filter(hasChains);
  const listed = listBase();
  if (listed !== undefined) apply(planRemoval(named, listed));
}

function hasChains(spoofer: Spoofer): boolean {
  try {
    chainsOf(spoofer);
    return true;
  } catch {
    return false;
  }
}

/** Pure. */
export function planRemoval(spoofers: readonly Spoofer[], listed: readonly ListedRule[]): string[] {
  return spoofers.flatMap((spoofer) => {
    const { chain, macChain, comment } = chainsOf(spoofer);
    const jumps = listed.filter(({ text }) => text.endsWith(comment));
    return deletion(jumps, [chain, macChain]);
  });
}

/** A chain is added before it is deleted: so it is no error that it is not there. */
function deletion(jumps: readonly ListedRule[], chains: readonly string[]): string[] {
  return [
    ...jumps.map(({ handle }) => `delete rule ${TABLE} ${BASE} handle ${handle}`),
    ...['add', 'flush', 'delete'].flatMap((verb) => chains.map((name) => `${verb} chain ${TABLE} ${name}`)),
  ];
}

/** Takes away what the reference left when a port went without a DEL. Throws ToolError. */
export function removeOrphanedSpoofChecks(): void {
  const listed = listBase() ?? [];
  apply(planOrphans(listed, linkNames()));
}

/** Pure: the rules of ports that are not among `links` match nothing any more. */
export function planOrphans(listed: readonly ListedRule[], links: ReadonlySet<string>): string[] {
  const jumps = listed.flatMap((rule) => {
    const [, port, chain] = JUMP.exec(rule.text) ?? [];
    return port === undefined || chain === undefined ? [] : [{ rule, chain, isOrphan: !links.has(port) }];
  });
  // A second ADD of the reference's adds a second jump to the same chain.
  const used = new Set(jumps.filter(({ isOrphan }) => !isOrphan).map(({ chain }) => chain));
  const orphans = jumps.filter(({ isOrphan }) => isOrphan);
  const chains = new Set(orphans.map(({ chain }) => chain).filter((chain) => !used.has(chain)));
  return deletion(
    orphans.map(({ rule }) => rule),
    [...chains].flatMap((chain) => [chain, `${chain}-mac`]),
  );
}

const JUMP = /^iifname "([^"]+)" jump (cni-br-iface-[\w.-]+) comment "macspoofchk-[\w.-]+"$/;

/** The first rule of `check` that is not there, `undefined` when all are. Throws ToolError. */
export function missingSpoofRule(check: SpoofCheck): string | undefined {
  const rules = rulesOf(check);
  // The whole table: nft 1.0.6 cannot list two chains in one run.
  const texts = new Set(list('table', TABLE)?.map(({ text }) => text));
  return rules.find(({ rule }) => !texts.has(rule))?.rule;
}

function listBase(): ListedRule[] | undefined {
  return list('chain', `${TABLE} ${BASE}`);
}

/** `undefined` when it is not there. */
function list(kind: 'chain' | 'table', name: string): ListedRule[] | undefined {
  try {
    return parseRules(run('nft', ['-a', 'list', kind, ...name.split(' ')]));
  } catch (error) {
    if (error instanceof ToolError && error.stderr.includes('No such file or directory')) return undefined;
    throw error;
  }
}

/** Pure: what `nft -a list chain` prints; every rule of ours ends with its comment. */
export function parseRules(text: string): ListedRule[] {
  return text.split('\n').flatMap((line) => {
    const [, rule = '', handle = ''] = /^\s*(.* comment ".*") # handle (\d+)$/.exec(line) ?? [];
    return rule === '' ? [] : [{ text: rule, handle }];
  });
}

function apply(lines: readonly string[]): void {
  if (lines.length > 0) run('nft', ['-f', '-'], { input: `${lines.join('\n')}\n` });
}
