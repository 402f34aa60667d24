/** CHECK of rules that may be in either firewall. */
import { CniError, code } from '../cni/errors.ts';
import type { BackendName } from './backend.ts';

/** None when one of `backends` has all of them; else what the first one lacks. Throws code 102 without any. */
export function missingInAll(backends: readonly BackendName[], look: (backend: BackendName) => string[]): string[] {
  let lacking: string[] | undefined;
  for (const backend of backends) {
    const missing = look(backend);
    if (missing.length === 0) return [];
    lacking ??= missing;
  }
  if (lacking !== undefined) return lacking;
  throw new CniError(code.toolFailed, 'cannot look at firewall rules: neither iptables nor nftables is installed', {
    details: 'install the package iptables or nftables',
  });
}
