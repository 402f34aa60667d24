/** Placeholder until written. */
import { CniError, code } from '../../lib/cni/errors.ts';
import type { Plugin } from '../../lib/cni/plugin.ts';

const later = async (): Promise<never> => {
  throw new CniError(code.internal, 'not written yet');
};
export const bridge: Plugin = { name: 'bridge', add: later, check: later, del: later, gc: later, status: later };
