/** Why an address could not be given, as far as something may be done about it outside the lease lock. */
import { CniError } from '../../lib/cni/errors.ts';
import type { RangeSet } from './ranges.ts';

/** `held`: leases stand in the way, by name; `full`: every address of the set is leased. */
export type Cause =
  | { readonly kind: 'held'; readonly names: readonly string[] }
  | { readonly kind: 'full'; readonly set: RangeSet };

/** A code 100 or 101 that may go away when the dead do. */
export class RefusedError extends CniError {
  readonly refusal: Cause;

  /** Of range set `index`; the message is prefixed as the reference's. */
  constructor(index: number, refusal: Cause, error: { readonly code: number; readonly message: string }) {
    super(error.code, `failed to allocate for range ${index}: ${error.message}`);
    this.refusal = refusal;
  }

  /** The same with what is known about it. */
  withDetails(details: string): CniError {
    return new CniError(this.code, this.message, { details, cause: this });
  }
}
