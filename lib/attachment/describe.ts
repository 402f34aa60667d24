/** Leases in words. */
import type { SeenLease } from './lease-store.ts';
import { observe } from './observe.ts';
import { readRecord, recordName } from './record.ts';
import type { Store } from './store.ts';
import { type Judged, judgeHolders } from './sweep.ts';

/** `10.1.0.5 of container c1 eth0 (pod shop/web-1), 3 h old` */
export function describeHolder(store: Store, { name, owner, mtimeNs }: SeenLease): string {
  const age = describeAge(Number(mtimeNs) / 1e6);
  if (owner === undefined) return `${name} of nobody, ${age}`;
  const read = readRecord(store, recordName(owner));
  const pod = typeof read === 'string' ? undefined : read.record.pod;
  const who = `container ${owner.containerId.slice(0, 300)} ${owner.ifname}`.trim();
  const inPod = pod === undefined ? '' : ` (pod ${pod.namespace}/${pod.name})`;
  return `${name} of ${who}${inPod}, ${age}`;
}

/** Lease, owner, age, verdict and its reason, and what releases it, for each of `judged`; '' for none. */
export function describeJudged(store: Store, judged: readonly Judged[]): string {
  const texts = judged.map(({ subject, verdict, why }) => {
    const what = subject.leases.map((lease) => `${store.leases}/${describeHolder(store, lease)}`).join(', ');
    return `${what}: ${verdict}, ${why}; "cnictl release ${store.network} ${subject.containerId}" releases it`;
  });
  return texts.join('; ');
}

/** The same for the leases called `names`. */
export function describeLeases(store: Store, names: readonly string[], minAgeMs: number): string {
  return describeJudged(store, judgeHolders(store, names, observe(store, { minAgeMs })));
}

const UNITS = [
  { unit: 'd', ms: 86_400_000 },
  { unit: 'h', ms: 3_600_000 },
  { unit: 'min', ms: 60_000 },
  { unit: 's', ms: 1000 },
] as const;

/** By the wall clock, which may have been set since. */
function describeAge(sinceMs: number): string {
  const ageMs = Date.now() - sinceMs;
  if (ageMs < 0) return 'from the future';
  const { unit, ms } = UNITS.find((one) => ageMs >= one.ms) ?? { unit: 's', ms: 1000 };
  return `${Math.floor(ageMs / ms)} ${unit} old`;
}
