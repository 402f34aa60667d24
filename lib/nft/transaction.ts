/** One atomic script for `nft -f -` (nft(8)) about one table. Text, since that is nft's own documented interface. */

/** `ip cni_hostport`: family and name. */
export type NftTable = `${'ip' | 'ip6' | 'inet' | 'bridge'} ${string}`;

export interface ChainOptions {
  /** Makes it a base chain: `type nat hook postrouting priority 100`. */
  readonly hook?: string;
  readonly comment?: string;
}

export interface RuleRef {
  readonly chain: string;
  readonly handle: number;
}

export interface SetOptions {
  /** Of an element: `inet_proto . inet_service`. */
  readonly type: string;
  /** Makes it a map: what elements lead to. */
  readonly data?: string;
  /** Elements may be networks and ranges. */
  readonly interval?: boolean;
}

export interface ElementRef {
  /** Set or map. */
  readonly set: string;
  /** As `nft list` prints it: `tcp . 8080`, `10.1.0.5 . 10.1.0.0/16`. */
  readonly key: string;
}

export interface NftElement extends ElementRef {
  /** What it leads to, `10.1.0.5 . 80`; '' in a set. */
  readonly data: string;
  /** '' without one. */
  readonly comment: string;
}

/** What a comment holds, in bytes, its final NUL not counted. */
const MAX_COMMENT = 128;

/** Lines in the order of their calls. Adding a table or chain that is there changes nothing; nothing here runs anything. */
export class NftTransaction {
  readonly #table: NftTable;
  readonly #lines: string[] = [];

  constructor(table: NftTable) {
    this.#table = table;
  }

  addTable(comment?: string): this {
    return this.#line('add table', '', block([comment === undefined ? undefined : commentOf(comment)]));
  }

  addChain(name: string, { hook, comment }: ChainOptions = {}): this {
    return this.#line('add chain', name, block([hook, comment === undefined ? undefined : commentOf(comment)]));
  }

  /** Fails where it is there already. */
  createChain(name: string): this {
    return this.#line('create chain', name);
  }

  /** Also where they are not there; they may lead to each other, but nothing else to them. */
  dropChains(names: readonly string[]): this {
    for (const verb of ['add', 'flush', 'delete']) for (const name of names) this.#line(`${verb} chain`, name);
    return this;
  }

  flushChain(name: string): this {
    return this.#line('flush chain', name);
  }

  /** `text` is the rule without its comment: `tcp dport 8080 dnat to 10.1.0.5:80`. Throws RangeError for more than a rule. */
  addRule(chain: string, text: string, comment?: string): this {
    return this.#line('add rule', chain, ruleText(text), ...(comment === undefined ? [] : [commentOf(comment)]));
  }

  /** By handle only: nft knows no other way. */
  deleteRule({ chain, handle }: RuleRef): this {
    return this.#line('delete rule', chain, `handle ${handle}`);
  }

  addSet(name: string, { type, data, interval = false }: SetOptions): this {
    const flags = interval ? 'flags interval' : undefined;
    return data === undefined
      ? this.#line('add set', name, block([`type ${type}`, flags]))
      : this.#line('add map', name, block([`type ${type} : ${data}`, flags]));
  }

  /** Fails where one is there already, by whatever comment or data. */
  createElements(elements: readonly NftElement[]): this {
    return this.#elements('create element', elements, ({ key, data, comment }) =>
      [key, ...(comment === '' ? [] : [commentOf(comment)]), ...(data === '' ? [] : [':', data])].join(' '),
    );
  }

  /** Fails where one is not there. */
  deleteElements(elements: readonly ElementRef[]): this {
    return this.#elements('delete element', elements, ({ key }) => key);
  }

  deleteTable(): this {
    return this.#line('delete table', '');
  }

  toString(): string {
    return this.#lines.map((line) => `${line}\n`).join('');
  }

  /** One line for each set. */
  #elements<E extends ElementRef>(verb: string, elements: readonly E[], text: (element: E) => string): this {
    for (const [set, own] of Map.groupBy(elements, (element) => element.set)) {
      this.#line(verb, set, `{ ${own.map(text).join(', ')} }`);
    }
    return this;
  }

  #line(verb: string, chain: string, ...words: readonly string[]): this {
    this.#lines.push([verb, this.#table, chain, ...words].filter((word) => word !== '').join(' '));
    return this;
  }
}

function block(parts: readonly (string | undefined)[]): string {
  const given = parts.filter((part) => part !== undefined);
  return given.length === 0 ? '' : `{ ${given.map((part) => `${part} ;`).join(' ')} }`;
}

/** Whether `text` stays within one rule: it cannot end the line, begin a comment, or leave a quote or bracket open. */
export function isRuleText(text: string): boolean {
  const bare = text.replace(/"[^"]*"/g, '');
  const opened = bare.split('{').length;
  return !/[\n\r\0;#\\]/.test(text) && !bare.includes('"') && opened === bare.split('}').length;
}

function ruleText(text: string): string {
  if (isRuleText(text)) return text;
  throw new RangeError(`cannot write ${JSON.stringify(text)} into an nftables rule`);
}

function commentOf(text: string): string {
  return `comment "${comment(text)}"`;
}

/** `text` as the kernel will keep it: nft has no way to write a quote into a comment, and the end is cut. */
export function comment(text: string): string {
  if (/[\n\r\0]/.test(text)) throw new RangeError(`cannot write ${JSON.stringify(text)} into an nftables comment`);
  return text.replaceAll('"', '').slice(0, MAX_COMMENT);
}
