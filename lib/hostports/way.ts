/** Whether anything leads from this host to where ports are forwarded. */
import type { Host } from '../cni/plugin.ts';
import { isRouted } from '../linux/route-table.ts';
import { type Forwarding, familiesOf, targetOf } from './forwarding.ts';

/**
 * Warns of forwarded ports that nobody can use. The reference forwards them in silence: with a bridge that has no address,
 * for one, they leave by the default route.
 */
export function warnWithoutWay(forwarding: Forwarding, host: Host): void {
  for (const family of familiesOf(forwarding)) {
    const target = targetOf(forwarding, family);
    if (target === undefined || isRouted(target.ip)) continue;
    const { text } = target.ip;
    host.warn(
      `portmap: forwarded ports do not reach ${text}: this host has no route to it but the default one; set "isGateway" of the bridge, or remove portmap`,
    );
  }
}
