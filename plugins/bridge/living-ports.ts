/** Who is on a bridge: looked at only where something depends on it. */
import { DEFAULT_MIN_AGE_MS } from '../../lib/attachment/collect.ts';
import { observe } from '../../lib/attachment/observe.ts';
import type { Store } from '../../lib/attachment/store.ts';
import { loadSubjects } from '../../lib/attachment/subject.ts';
import { judgeThose } from '../../lib/attachment/sweep.ts';
import { showPorts } from '../../lib/iproute2/show.ts';
import { isGatewayName } from './vlan.ts';

/** Names of the ports of `bridge` but for gateways of VLANs and what is shown dead. Throws ToolError, code 5. */
export function livingPorts(store: Store, bridge: string): string[] {
  const ports = showPorts(bridge).filter(({ link = '' }) => !isGatewayName(bridge, link));
  const names = ports.map(({ ifname }) => ifname);
  if (names.length === 0) return [];
  const dead = deadLinks(store, names);
  return names.filter((name) => !dead.has(name));
}

function deadLinks(store: Store, names: readonly string[]): ReadonlySet<string> {
  const linkOf = (name: string | undefined) => (name !== undefined && names.includes(name) ? [name] : []);
  const all = loadSubjects(store).filter(({ read }) => linkOf(read?.record.hostLink?.name).length > 0);
  const judged = judgeThose(all, observe(store, { minAgeMs: DEFAULT_MIN_AGE_MS }), all);
  const dead = judged.filter(({ verdict }) => verdict === 'dead');
  return new Set(dead.flatMap(({ subject }) => linkOf(subject.read?.record.hostLink?.name)));
}
