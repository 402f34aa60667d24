/** Lines for restoreNat(): replacing some rules of a chain, and taking lines back. */

/**
 * Turns `present`, which are rules of `chain`, into `wanted`; other rules of the chain stay. When rules go, all of
 * `present` go and the rest comes again: ip6tables-legacy 1.8.9 does not compare ports and addresses, so a single `-D`
 * may hit a rule that only resembles the one meant.
 */
export function replaceRules(chain: string, present: readonly string[], wanted: readonly string[]): string[] {
  const stays = present.every((rule, index) => rule === wanted[index]);
  const gone = stays ? [] : present.toReversed();
  const added = stays ? wanted.slice(present.length) : wanted;
  return [...gone.map((rule) => `-D ${chain} ${rule}`), ...added.map((rule) => `-A ${chain} ${rule}`)];
}

/** The lines that take back `lines`, last first, but for those on chains that others use too. */
export function inverseLines(lines: readonly string[], ownChain: string): string[] {
  return lines
    .toReversed()
    .map((line) => inverseLine(line, ownChain))
    .filter((line) => line !== undefined);
}

function inverseLine(line: string, ownChain: string): string | undefined {
  const [, command = '', chain = '', rest = ''] = /^(-\w) (\S+) ?(.*)$/.exec(line) ?? [];
  if (chain !== ownChain && !rest.endsWith(`-j ${ownChain}`)) return undefined;
  switch (command) {
    case '-N':
      return `-X ${chain}`;
    case '-A':
      return `-D ${chain} ${rest}`;
    case '-D':
      return `-A ${chain} ${rest}`;
    default:
      return undefined;
  }
}
