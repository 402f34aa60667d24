/** Whether packets that a bridge only passes on go through iptables as well (br_netfilter): hosts differ in it. */

import type { Namespace } from './world.ts';

/** A kernel without br_netfilter has no such switch, and is as if it were off. */
export function setBridgeNetfilter(node: Namespace, value: 0 | 1): Promise<string> {
  const script = `for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do [ ! -e "$f" ] || echo ${value} >"$f"; done`;
  return node.run('bash', '-c', script);
}
