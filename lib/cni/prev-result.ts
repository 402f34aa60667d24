/** The result of the plugins before this one in the chain, and the one that CHECK and DEL are given. */
import { parseResult } from './convert.ts';
import { CniError, code } from './errors.ts';
import type { NetConf } from './plugin.ts';
import type { Result } from './result.ts';

/** `prevResult` of the configuration, `undefined` when absent or null. Throws code 7. */
export function prevResult(config: NetConf): Result | undefined {
  const found = rawPrevResult(config);
  return found === undefined ? undefined : parseResult(found, config.cniVersion, 'prevResult');
}

/** The same as it came, for a delegate's configuration. */
export function rawPrevResult({ raw }: NetConf): unknown {
  return Object.entries(raw).findLast(([key]) => key.toLowerCase() === 'prevresult')?.[1] ?? undefined;
}

/** The same where the verb cannot do without. Throws code 7. */
export function requirePrevResult(config: NetConf): Result {
  const result = prevResult(config);
  if (result !== undefined) return result;
  throw new CniError(code.invalidConfig, 'Required prevResult missing', {
    details: 'the runtime must hand on the result of ADD; "prevResult" is absent from the configuration',
  });
}

/** For DEL, which has to go on: a torn `prevResult` is none. */
export function prevResultIfReadable(config: NetConf): Result | undefined {
  try {
    return prevResult(config);
  } catch {
    // DEL works from what is there; a damaged cache of the runtime must not keep an attachment alive.
    return undefined;
  }
}
