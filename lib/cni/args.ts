/** CNI_ARGS: `K=V;K=V` (SPEC.md "Parameters"; the strictness is the reference's). */
import { CniError, code } from './errors.ts';

/**
 * The values of the keys in `known`. A pair without exactly one `=` is an error, an unknown key too unless the text
 * says `IgnoreUnknown=1`. Throws code 4.
 */
export function parseArgs<K extends string>(text: string, known: readonly K[]): Partial<Record<K, string>> {
  if (text === '') return {};
  const pairs = text.split(';').map(parsePair);
  const flags = pairs.filter(([key]) => key === 'IgnoreUnknown').map(([, value]) => isTrue(value));
  const ignoreUnknown = flags.at(-1) === true;
  const isKnown = (key: string): key is K => (known as readonly string[]).includes(key);
  const unknown = pairs.filter(([key]) => key !== 'IgnoreUnknown' && !isKnown(key));
  if (unknown.length > 0 && !ignoreUnknown) {
    const list = unknown.map(([key, value]) => JSON.stringify(`${key}=${value}`)).join(' ');
    throw new CniError(code.invalidEnvironment, `ARGS: unknown args [${list}]`, {
      details: 'CNI_ARGS holds keys that this plugin does not know: remove them or add IgnoreUnknown=1',
    });
  }
  const values: Partial<Record<K, string>> = {};
  for (const [key, value] of pairs) if (isKnown(key)) values[key] = value;
  return values;
}

function parsePair(pair: string): [key: string, value: string] {
  const [key, value, ...rest] = pair.split('=');
  if (key === undefined || value === undefined || rest.length > 0) {
    throw new CniError(code.invalidEnvironment, `ARGS: invalid pair ${JSON.stringify(pair)}`, {
      details: 'CNI_ARGS is a list like K=V;K=V',
    });
  }
  return [key, value];
}

function isTrue(value: string): boolean {
  if (/^(1|true)$/i.test(value)) return true;
  if (/^(0|false)$/i.test(value)) return false;
  throw new CniError(
    code.invalidEnvironment,
    `ARGS: error parsing value of pair "IgnoreUnknown=${value}": not a boolean`,
  );
}
