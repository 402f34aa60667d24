/** The one error type of the suite, and its codes (SPEC.md "Error"; codes from 100 on are ours to define). */

/** Codes that the specification defines, and ours. README.md lists them for operators. */
export const code = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodingFailure: 6,
  invalidConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  pluginNotAvailable: 50,
  /** No free address is left in a range set. */
  exhausted: 100,
  /** The address, interface or bridge name asked for is held by something else. */
  conflict: 101,
  /** A tool (`ip`, `iptables-restore`, …) is missing, failed or ran out of time. */
  toolFailed: 102,
  /** CHECK found the attachment other than ADD left it. */
  checkFailed: 103,
  /** A delegated plugin is missing, crashed, ran out of time or printed no usable answer. */
  delegateFailed: 104,
  /** SIGTERM arrived; what this call had done is undone. */
  interrupted: 105,
  /** The executable was called by a name that is no plugin of ours. */
  unknownPlugin: 106,
  /** A port of the host is held by another container. */
  portConflict: 107,
  internal: 999,
} as const;

export interface CniErrorOptions {
  /** The tool's own words, and where there is one the fix. */
  readonly details?: string | undefined;
  readonly cause?: unknown;
}

/**
 * A failure that the runtime is told of. `message` is lower case (the kubelet prints it mid-sentence) and says what
 * was attempted, on what, and what stood in the way.
 */
export class CniError extends Error {
  override readonly name = 'CniError';
  readonly code: number;
  readonly details: string;

  constructor(errorCode: number, message: string, options: CniErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = errorCode;
    this.details = options.details ?? '';
  }
}

/** `error` as a CniError; what is not one becomes code 999 with its message, never its stack. */
export function asCniError(error: unknown): CniError {
  if (error instanceof CniError) return error;
  return new CniError(code.internal, messageOf(error), { cause: error });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** True when `error` is a system error with this `code` (`ENOENT`, `EEXIST`, …). */
export function hasErrno(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code);
}

/** `action` for each of `items`, also after some failed; then throws what failed as one error. */
export function forAll<T>(items: Iterable<T>, action: (item: T) => void): void {
  const errors: unknown[] = [];
  for (const item of items) {
    try {
      action(item);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw combineErrors(errors);
}

/** The same for actions that run beside each other: all have ended when this does. */
export async function forAllBeside<T>(items: Iterable<T>, action: (item: T) => Promise<void>): Promise<void> {
  const ends = await Promise.allSettled([...items].map(async (item) => action(item)));
  const errors = ends.filter((end) => end.status === 'rejected').map(({ reason }): unknown => reason);
  if (errors.length > 0) throw combineErrors(errors);
}

/** Several failures as one error: the first one's code, every message. A single failure stays as it is. */
export function combineErrors(errors: readonly unknown[]): CniError {
  const [first, ...rest] = errors.map(asCniError);
  if (first === undefined) throw new RangeError('combineErrors() needs at least one error');
  if (rest.length === 0) return first;
  const all = [first, ...rest];
  const details = all.map((error) => error.details).filter((text) => text !== '');
  return new CniError(first.code, all.map((error) => error.message).join('; '), {
    details: details.join('; '),
    cause: first,
  });
}
