/** Settings under /proc/sys, in the namespace of this thread. */
import { writeSysctl } from '../../lib/linux/sysctl.ts';
import type { Sysctl } from './plan.ts';

/** Throws code 5 for a required one. */
export function applySysctls(sysctls: readonly Sysctl[]): void {
  for (const { name, value, required } of sysctls) {
    try {
      writeSysctl(name, value);
    } catch (error) {
      if (required) throw error;
      // Without IPv6, or on a read-only /proc/sys, the attachment works as far as the kernel lets it.
    }
  }
}
