/**
 * The ways to write firewall rules: the two that the reference's configuration keys name, in its own layout, and the layout
 * of lib/nft/sets.ts, which `ruleLayout` chooses.
 */
export const REFERENCE_BACKENDS = ['iptables', 'nftables'] as const;
export const BACKENDS = [...REFERENCE_BACKENDS, 'sets'] as const;

export type ReferenceBackend = (typeof REFERENCE_BACKENDS)[number];
export type BackendName = (typeof BACKENDS)[number];
