/** The two ways to write firewall rules, by the names that the reference's configuration keys give them. */
export const BACKENDS = ['iptables', 'nftables'] as const;

export type BackendName = (typeof BACKENDS)[number];
