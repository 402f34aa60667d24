/** Text of iptables rules, in the form that iptables-save prints, so that ours and the kernel's can be compared. */
import type { Family } from '../net/ip.ts';

/** A word of a rule, quoted as iptables-save does when it needs to be. Line breaks are refused: they end a rule. */
export function word(text: string): string {
  if (/[\n\r\0]/.test(text)) throw new RangeError(`cannot write ${JSON.stringify(text)} into an iptables rule`);
  if (/^[\w.:/@,+=-]+$/.test(text)) return text;
  return `"${text.replace(/[\\"]/g, '\\$&')}"`;
}

/** What xt_comment holds, in bytes; all of our comments are ASCII. */
const MAX_COMMENT = 255;

/** `-m comment --comment …`, cut as iptables does, so that it compares equal to what the kernel has. */
export function comment(text: string): string {
  return `-m comment --comment ${word(text.slice(0, MAX_COMMENT))}`;
}

/** The words of a rule's text, unquoted. */
export function words(rule: string): string[] {
  return tokens(rule).map(({ text }) => text);
}

/** The word after `option`: `optionOf('-p tcp --dport 80', '--dport')` is `80`. A negated option has none. */
export function optionOf(rule: string, option: string): string | undefined {
  const all = words(rule);
  const at = all.indexOf(option);
  return at === -1 || all[at - 1] === '!' ? undefined : all[at + 1];
}

/** True when two texts are the same rule; backends print the parts of some matches in another order. */
export function sameRule(one: string, two: string): boolean {
  return one === two || ruleKey(one) === ruleKey(two);
}

/** Equal for two texts exactly when sameRule() holds: for sets of many rules. */
export function ruleKey(rule: string): string {
  return phrases(rule).sort().join('\n');
}

/** True when `rule` says all that `part` says, and perhaps more. */
export function includesRule(rule: string, part: string): boolean {
  const said = phrases(rule);
  return phrases(part).every((phrase) => said.includes(phrase));
}

/** An address as a rule's `-s` or `-d` prints it: `10.1.0.5/32`. */
export function hostCidr(address: string, family: Family): string {
  return `${address}/${family === 4 ? 32 : 128}`;
}

/** A rule's options, each with its `!` before and its values behind: whose order in the rule says nothing. */
function phrases(rule: string): string[] {
  const found: string[][] = [];
  let negated = false;
  for (const { text, quoted } of tokens(rule)) {
    if (!quoted && text === '!') {
      negated = true;
    } else if (negated || found.length === 0 || (!quoted && text.startsWith('-'))) {
      found.push(negated ? ['!', text] : [text]);
      negated = false;
    } else {
      found.at(-1)?.push(text);
    }
  }
  return found.map((phrase) => phrase.join('\t'));
}

function tokens(rule: string): { text: string; quoted: boolean }[] {
  return [...rule.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map(([, quoted, plain = '']) =>
    quoted === undefined ? { text: plain, quoted: false } : { text: quoted.replace(/\\(.)/g, '$1'), quoted: true },
  );
}
