/** The backends by name, and which of them an attachment's rules are or will be in. */
import type { BackendName } from '../firewall/backend.ts';
import type { Backend } from './backend.ts';
import { iptables } from './iptables.ts';
import { nftables } from './nftables.ts';
import { sets } from './sets.ts';

export const backends: { readonly [B in BackendName]: Backend } = { iptables, nftables, sets };
