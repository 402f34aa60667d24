/** Names from outside, validated before any of them touches a path or an argument (SPEC.md "Parameters"). */
import { CniError, code } from './errors.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** Linux's IFNAMSIZ less the final NUL. */
const MAX_IFNAME_BYTES = 15;
/** A name that becomes a file name has to fit one: ext4's NAME_MAX less room for a suffix. */
const MAX_NAME_BYTES = 200;
/** What Go's unicode.IsSpace knows: JavaScript's \s has U+FEFF, which is no space there, and lacks U+0085. */
const SPACE = /[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** Throws code 4 unless `id` is a container ID. */
export function requireContainerId(id: string): void {
  if (!NAME.test(id)) {
    throw new CniError(code.invalidEnvironment, 'invalid characters in containerID', { details: quoteShort(id) });
  }
  if (id.length > MAX_NAME_BYTES) throw tooLong(code.invalidEnvironment, 'CNI_CONTAINERID', id);
}

/** Throws code 7 unless `name` is a network name. It becomes a folder's name, hence the limit on its length. */
export function requireNetworkName(name: string): void {
  if (name === '') {
    throw new CniError(code.invalidConfig, 'missing network name', { details: 'set "name" in the configuration' });
  }
  if (!NAME.test(name)) {
    throw new CniError(code.invalidConfig, 'invalid characters found in network name', { details: quoteShort(name) });
  }
  if (name.length > MAX_NAME_BYTES) throw tooLong(code.invalidConfig, 'network name', name);
}

/** Throws code 4 unless `name` can be a Linux interface's name. `what` names where it came from. */
export function requireIfname(name: string): void {
  const problem = ifnameProblem(name);
  if (problem === undefined) return;
  throw new CniError(code.invalidEnvironment, problem.message, { details: problem.details });
}

/** What is wrong with `name` as an interface's name, in the reference's words; `undefined` when nothing is. */
export function ifnameProblem(name: string): { message: string; details: string } | undefined {
  const details = `CNI_IFNAME is ${quoteShort(name)}`;
  if (name === '') return { message: 'interface name is empty', details };
  if (Buffer.byteLength(name) > MAX_IFNAME_BYTES) {
    return { message: 'interface name is too long', details: 'interface name should be less than 16 characters' };
  }
  if (name === '.' || name === '..') return { message: 'interface name is . or ..', details };
  if (/[/:\0]/.test(name) || SPACE.test(name)) {
    return { message: 'interface name contains / or : or whitespace characters', details };
  }
  return undefined;
}

function tooLong(errorCode: number, what: string, value: string): CniError {
  return new CniError(errorCode, `${what} is too long: ${value.length} characters, at most ${MAX_NAME_BYTES}`, {
    details: quoteShort(value),
  });
}

/** `text` quoted for a message, cut so that a 10,000 character name does not fill a log. */
export function quoteShort(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}
