/** Text of iptables rules, in the form that iptables-save prints, so that ours and the kernel's can be compared. */
import type { Family } from '../net/ip.ts';

/** A word of a rule, quoted as iptables-save does when it needs to be. Line breaks are refused: they end a rule. */
export function word(text: string): string {
  if (/[\n\r\0]/.test(text)) throw new RangeError(`cannot write ${JSON.stringify(text)} into an iptables rule`);
  if (/^[\w.:/@,+=-]+$/.test(text)) return text;
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

/** `-m comment --comment …`. xt_comment holds 255 bytes. */
export function comment(text: string): string {
  return `-m comment --comment ${word(text)}`;
}

/** The words of a rule's text, unquoted. */
export function words(rule: string): string[] {
  const found = rule.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g);
  return [...found].map(([, quoted, plain]) => (quoted === undefined ? (plain ?? '') : quoted.replace(/\\(.)/g, '$1')));
}

/** True when two texts are the same rule; backends print the parts of some matches in another order. */
export function sameRule(one: string, two: string): boolean {
  return [...words(one)].sort().join('\n') === [...words(two)].sort().join('\n');
}

/** An address as a rule's `-s` or `-d` prints it: `10.1.0.5/32`. */
export function hostCidr(address: string, family: Family): string {
  return `${address}/${family === 4 ? 32 : 128}`;
}
