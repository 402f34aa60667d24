/** Rules of `nft --json list` (libnftables-json(5)) as the text that `nft list` prints, as far as rules like ours go. */
import { isObject, type JsonObject } from '../cni/json.ts';
import { bitsOf, type Cidr, networkOf, networkText } from '../net/ip.ts';

/** `tcp dport 8080 dnat to 10.1.0.5:80`; what no rule of ours has stands there as JSON. */
export function ruleText(expressions: readonly unknown[]): string {
  return expressions.map(expressionText).join(' ');
}

function expressionText(expression: unknown): string {
  const [[kind = '', value] = []] = isObject(expression) ? Object.entries(expression) : [];
  const content = isObject(value) ? value : {};
  switch (kind) {
    case 'match':
      return matchText(content);
    case 'dnat':
      return `dnat ${content.family === undefined ? '' : `${content.family} `}to ${endpoint(content)}`;
    case 'jump':
    case 'goto':
      return `${kind} ${content.target}`;
    case 'masquerade':
    case 'return':
    case 'drop':
      return kind;
    default:
      return JSON.stringify(expression);
  }
}

function matchText({ op, left, right }: JsonObject): string {
  // nft itself prints neither.
  const operator = op === '==' || op === 'in' ? [] : [op];
  return [subject(left), ...operator, operand(right)].join(' ');
}

function subject(left: unknown): string {
  const [[kind = '', value] = []] = isObject(left) ? Object.entries(left) : [];
  const content = isObject(value) ? value : {};
  switch (kind) {
    case 'concat':
      return (Array.isArray(value) ? value : []).map(subject).join(' . ');
    case 'payload':
      return `${content.protocol} ${content.field}`;
    case 'fib':
      return `fib ${[content.flags].flat().join(' . ')} ${content.result}`;
    case 'ct':
    case 'meta':
      return `${kind} ${content.key}`;
    default:
      return JSON.stringify(left);
  }
}

function operand(right: unknown): string {
  if (typeof right === 'string' || typeof right === 'number') return String(right);
  if (isObject(right) && isObject(right.prefix)) return `${right.prefix.addr}/${right.prefix.len}`;
  return JSON.stringify(right);
}

function endpoint({ addr, port }: JsonObject): string {
  if (isObject(addr) && isObject(addr.map)) return `${subject(addr.map.key)} map ${addr.map.data}`;
  return `${String(addr).includes(':') ? `[${addr}]` : addr}:${port}`;
}

/** The network of `cidr`: that of a single address without its length. */
export function networkWord(cidr: Cidr): string {
  return cidr.prefix === bitsOf(cidr.ip.family) ? networkOf(cidr).text : networkText(cidr);
}
