/** From environment and stdin to one validated call, in the reference's order of checks (skel; SPEC.md "Parameters"). */
import { CniError, code } from './errors.ts';
import { isObject, type JsonObject } from './json.ts';
import { requireContainerId, requireIfname, requireNetworkName } from './names.ts';
import type { NetConf, Verb } from './plugin.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export const VERBS: readonly Verb[] = ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS'];

interface Variable {
  readonly name: string;
  readonly requiredFor: readonly string[];
  readonly validate?: (value: string) => void;
}

const VARIABLES: readonly Variable[] = [
  { name: 'CNI_COMMAND', requiredFor: [...VERBS, 'VERSION'] },
  { name: 'CNI_CONTAINERID', requiredFor: ['ADD', 'CHECK', 'DEL'], validate: requireContainerId },
  { name: 'CNI_NETNS', requiredFor: ['ADD', 'CHECK'] },
  { name: 'CNI_IFNAME', requiredFor: ['ADD', 'CHECK', 'DEL'], validate: requireIfname },
  { name: 'CNI_PATH', requiredFor: VERBS },
];

/** The values of a call's variables; those that its verb does not carry are ''. Throws code 4. */
export function readEnvironment(env: Environment) {
  const verb = env.CNI_COMMAND ?? '';
  const missing: string[] = [];
  for (const { name, requiredFor, validate } of VARIABLES) {
    if (!requiredFor.includes(verb)) continue;
    const value = env[name] ?? '';
    if (value === '') missing.push(name);
    else validate?.(value);
  }
  if (missing.length > 0) {
    throw new CniError(code.invalidEnvironment, `required env variables [${missing.join(',')}] missing`, {
      details: `CNI_COMMAND=${verb} needs them set and not empty`,
    });
  }
  const carries = (name: string) => (verb === 'GC' || verb === 'STATUS' ? '' : (env[name] ?? ''));
  return {
    containerId: carries('CNI_CONTAINERID'),
    netns: carries('CNI_NETNS'),
    ifname: carries('CNI_IFNAME'),
    args: carries('CNI_ARGS'),
    path: (env.CNI_PATH ?? '').split(':').filter((folder) => folder !== ''),
  };
}

/** The keys that every configuration shares. Throws code 6 for text that is no JSON object, 7 for a bad name. */
export function parseNetConf(stdin: string): NetConf {
  const raw = parseJsonObject(stdin);
  const name = stringKey(raw, 'name');
  requireNetworkName(name);
  return { name, cniVersion: stringKey(raw, 'cniVersion'), raw };
}

function parseJsonObject(stdin: string): JsonObject {
  if (stdin.trim() === '') {
    throw new CniError(code.decodingFailure, 'error unmarshall network config: stdin is empty', {
      details: 'the network configuration (JSON) is expected on stdin',
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(stdin);
  } catch (error) {
    throw new CniError(code.decodingFailure, `error unmarshall network config: ${(error as SyntaxError).message}`, {
      details: 'stdin holds no valid JSON',
      cause: error,
    });
  }
  if (!isObject(value)) {
    throw new CniError(code.decodingFailure, 'error unmarshall network config: stdin holds no JSON object', {
      details: 'a network configuration looks like {"cniVersion": "1.1.0", "name": "mynet", "type": "bridge"}',
    });
  }
  return value;
}

/** The string at `key` in any letter case, '' when absent or null; the last spelling wins, as in Go. Throws code 6. */
function stringKey(raw: JsonObject, key: string): string {
  const found = Object.entries(raw).findLast(
    ([name, value]) => value !== null && name.toLowerCase() === key.toLowerCase(),
  );
  if (found === undefined) return '';
  if (typeof found[1] === 'string') return found[1];
  throw new CniError(code.decodingFailure, `cannot read "${key}" of the network config: it is no string`);
}
