/** JSON as Go's encoding/json reads and writes it, since the runtimes and the reference plugins are written in Go. */
import * as z from 'zod/mini';
import { CniError, code } from './errors.ts';

export type JsonObject = { [key: string]: unknown };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** JSON with four spaces and Go's HTML escaping, without a final newline: the text of a result or an error. */
export function encode(value: unknown): string {
  return escapeHtml(JSON.stringify(value, null, 4));
}

/** The same on one line: what one plugin sends to another. */
export function encodeCompact(value: unknown): string {
  return escapeHtml(JSON.stringify(value));
}

function escapeHtml(text: string): string {
  return text.replace(/[<>&\u2028\u2029]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * `value` checked against `schema`. Keys match as in Go (exact or in other letter case, the last one wins; `null`
 * leaves the default). Throws code 7 with one plain sentence naming the key's path; `what` names the object.
 */
export function decode<T extends z.ZodMiniType>(schema: T, value: unknown, what: string): z.output<T> {
  const parsed = z.safeParse(schema, foldKeys(schema, value), { error: explain });
  if (parsed.success) return parsed.data;
  throw new CniError(code.invalidConfig, `invalid ${what}: ${parsed.error.issues.map(sentence).join('; ')}`);
}

function sentence(issue: z.core.$ZodIssue): string {
  const path = issue.path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  const where = path.replace(/^\./, '');
  return where === '' ? issue.message : `"${where}": ${issue.message}`;
}

/** Zod's own words would be "Invalid input" (zod/mini has no language); a schema's own message comes before this one. */
function explain(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is missing' : `must be ${kindOf(issue.expected)}, not ${shown(issue.input)}`;
    case 'too_small':
      return `must be at least ${issue.minimum}, not ${shown(issue.input)}`;
    case 'too_big':
      return `must be at most ${issue.maximum}, not ${shown(issue.input)}`;
    case 'invalid_value':
      return `must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}, not ${shown(issue.input)}`;
    case 'invalid_format':
      return `${shown(issue.input)} has the wrong form`;
    default:
      return undefined;
  }
}

function kindOf(expected: string): string {
  const kinds: { readonly [type: string]: string } = {
    int: 'a whole number',
    boolean: 'true or false',
    array: 'a list',
    object: 'an object',
    record: 'an object',
  };
  return kinds[expected] ?? `a ${expected}`;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Renames the keys of `value` that match one of `schema`'s in another letter case, all the way down. */
function foldKeys(schema: z.core.$ZodType, value: unknown): unknown {
  const def = schema._zod.def as SchemaDef;
  if (def.type === 'object' && def.shape !== undefined && isObject(value)) return foldObject(def.shape, value);
  if (def.type === 'array' && def.element !== undefined && Array.isArray(value)) {
    const { element } = def;
    return value.map((item) => foldKeys(element, item));
  }
  const inner = def.innerType ?? def.in;
  return inner === undefined ? value : foldKeys(inner, value);
}

/** The part of zod's schema definitions that foldKeys() walks (zod's own type is a union of some forty kinds). */
interface SchemaDef {
  readonly type: string;
  readonly shape?: { readonly [key: string]: z.core.$ZodType };
  readonly element?: z.core.$ZodType;
  readonly innerType?: z.core.$ZodType;
  readonly in?: z.core.$ZodType;
}

function foldObject(shape: { readonly [key: string]: z.core.$ZodType }, value: JsonObject): JsonObject {
  const byLowerCase = new Map(Object.keys(shape).map((key) => [key.toLowerCase(), key]));
  const folded: JsonObject = Object.create(null) as JsonObject;
  for (const [key, item] of Object.entries(value)) {
    const known = Object.hasOwn(shape, key) ? key : byLowerCase.get(key.toLowerCase());
    if (known === undefined) folded[key] = item;
    else if (item !== null) folded[known] = foldKeys(shape[known] as z.core.$ZodType, item);
  }
  return folded;
}
