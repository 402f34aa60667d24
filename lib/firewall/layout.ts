/** `ruleLayout` of a configuration: the reference's rules, one and more per container, or few that look up in sets. */
import { CniError, code } from '../cni/errors.ts';
import type { Choice } from './decide.ts';

export const RULE_LAYOUTS = ['reference', 'sets'] as const;

export const IN_SETS: Choice = {
  backend: 'sets',
  why: 'the configuration wants it: it says so by "ruleLayout"',
};

/** Sets are nftables'. `key` is what names a backend in the configuration. Throws code 7. */
export function refuseIptables(key: string, backend: string | undefined): void {
  if (backend !== 'iptables') return;
  throw new CniError(
    code.invalidConfig,
    `"ruleLayout": "sets" cannot be written in iptables, which "${key}" asks for`,
    {
      details: `remove "${key}" or set it to "nftables", or remove "ruleLayout"`,
    },
  );
}
