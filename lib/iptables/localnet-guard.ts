/**
 * What keeps others off 127.0.0.0/8 while `route_localnet` of a link lets the host's own packets from there through: the
 * kernel then no longer throws away what comes in by that link from or to those addresses. In the table `raw`, since `nat`
 * cannot drop and does not see every packet.
 */
import { applyTables, hasRule, type NatTable, saveIfSupported, type Tables } from './nat.ts';

const GUARD_CHAIN = 'CNI-LOCALNET-GUARD';

const JUMP = `! -i lo -j ${GUARD_CHAIN}`;
const RULES = ['-d 127.0.0.0/8 -j DROP', '-s 127.0.0.0/8 -j DROP'];

/** `make` where none is known to be there, `expect` beside others that need it, `remove` with the last one. */
export type GuardChange = 'make' | 'expect' | 'remove';

/** What is written when nobody looked. First of all: a rule of somebody else's must not let such packets pass it by. */
const USUAL: { readonly [C in GuardChange]: readonly string[] } = {
  make: [`-N ${GUARD_CHAIN}`, ...RULES.map((rule) => `-A ${GUARD_CHAIN} ${rule}`), `-I PREROUTING 1 ${JUMP}`],
  expect: [`-C PREROUTING ${JUMP}`],
  remove: [`-D PREROUTING ${JUMP}`, ...RULES.map((rule) => `-D ${GUARD_CHAIN} ${rule}`), `-X ${GUARD_CHAIN}`],
};

/** Pure: lines for the table `raw`; `undefined` when this kernel has none. */
export function planGuard(change: GuardChange, tables: Tables | undefined): readonly string[] | undefined {
  if (tables === undefined) return USUAL[change];
  if (tables.raw === undefined) return undefined;
  return change === 'remove' ? planRemoval(tables.raw) : planMaking(tables.raw);
}

function planMaking(raw: NatTable): string[] {
  const missing = RULES.filter((rule) => !hasRule(raw, GUARD_CHAIN, rule));
  return [
    ...(raw.has(GUARD_CHAIN) ? [] : [`-N ${GUARD_CHAIN}`]),
    ...missing.map((rule) => `-A ${GUARD_CHAIN} ${rule}`),
    ...(hasRule(raw, 'PREROUTING', JUMP) ? [] : [`-I PREROUTING 1 ${JUMP}`]),
  ];
}

function planRemoval(raw: NatTable): string[] {
  const jumps = (raw.get('PREROUTING') ?? []).filter((rule) => rule.endsWith(`-j ${GUARD_CHAIN}`));
  const rules = raw.get(GUARD_CHAIN);
  return [
    ...jumps.map((rule) => `-D PREROUTING ${rule}`),
    ...(rules ?? []).map((rule) => `-D ${GUARD_CHAIN} ${rule}`),
    ...(rules === undefined ? [] : [`-X ${GUARD_CHAIN}`]),
  ];
}

/** What the guard consists of, each as `CHAIN RULE`. */
export const GUARD_RULES = [`PREROUTING ${JUMP}`, ...RULES.map((rule) => `${GUARD_CHAIN} ${rule}`)];

/** Throws ToolError. */
export function isGuardThere(): boolean {
  const raw = saveIfSupported(4, 'raw');
  return raw !== undefined && planMaking(raw).length === 0;
}

/** Takes away what is there of the guard. Throws ToolError, or code 11 for the xtables lock. */
export function removeGuard(): void {
  const look = () => ({ nat: new Map(), raw: saveIfSupported(4, 'raw') });
  applyTables(4, { look, plan: (tables) => ({ nat: [], raw: planGuard('remove', tables) }) }, look());
}
