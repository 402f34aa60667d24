/** Specification versions: which there are, which verbs each has, how they compare (SPEC.md "Version"). */
import { CniError, code } from './errors.ts';

export const SPEC_VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
export type SpecVersion = (typeof SPEC_VERSIONS)[number];
export const NEWEST: SpecVersion = '1.1.0';

/** A configuration without `cniVersion` means the oldest. */
export const DEFAULT_VERSION: SpecVersion = '0.1.0';

/** The families inside which result texts have one shape. */
export type ResultShape = 'ip4ip6' | 'versioned' | 'current';

/** The first version that has the verb; the others are as old as the specification. */
const SINCE = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' } as const;

export function isSpecVersion(text: string): text is SpecVersion {
  return (SPEC_VERSIONS as readonly string[]).includes(text);
}

/** The shape of results of `version`; `undefined` for a version that does not exist. */
export function resultShape(version: string): ResultShape | undefined {
  if (!isSpecVersion(version)) return undefined;
  if (atLeast(version, '1.0.0')) return 'current';
  return atLeast(version, '0.3.0') ? 'versioned' : 'ip4ip6';
}

/** True when `version` is `minimum` or newer. Missing parts count as 0: `1` is 1.0.0. Throws code 6 for other text. */
export function atLeast(version: string, minimum: string): boolean {
  const have = parseVersion(version);
  const want = parseVersion(minimum);
  for (const [index, part] of have.entries()) {
    const other = want[index] ?? 0;
    if (part !== other) return part > other;
  }
  return true;
}

function parseVersion(version: string): number[] {
  const parts = version.split('.');
  if (parts.length > 3 || parts.some((part) => !/^\d+$/.test(part))) {
    throw new CniError(
      code.decodingFailure,
      `cannot read cniVersion ${JSON.stringify(version)}: it is no number like 1.1.0`,
    );
  }
  return [0, 1, 2].map((index) => Number(parts[index] ?? 0));
}

/**
 * Refuses a configuration whose version we do not speak or whose version lacks `verb`, in the reference's order and
 * words (code 1).
 */
export function requireVersion(version: string, verb: string): SpecVersion {
  if (verb in SINCE && !atLeast(version, SINCE[verb as keyof typeof SINCE])) {
    throw new CniError(code.incompatibleVersion, `config version does not allow ${verb}`, {
      details: `config is ${JSON.stringify(version)}, ${verb} needs ${SINCE[verb as keyof typeof SINCE]} or newer`,
    });
  }
  if (isSpecVersion(version)) return version;
  if (verb in SINCE && !atLeast(NEWEST, version)) {
    throw new CniError(code.incompatibleVersion, `plugin version does not allow ${verb}`, {
      details: `config is ${JSON.stringify(version)}, the newest version that this plugin speaks is ${NEWEST}`,
    });
  }
  const supported = SPEC_VERSIONS.map((known) => JSON.stringify(known)).join(' ');
  throw new CniError(code.incompatibleVersion, 'incompatible CNI versions', {
    details: `config is ${JSON.stringify(version)}, plugin supports [${supported}]`,
  });
}
