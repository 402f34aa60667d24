/** Go's encoding/json sorts the keys of every map: what a runtime in Go sends and stores looks like this. */
import { isObject } from '../cni/json.ts';

/** A copy of `value` whose objects have their keys in order, all the way down. */
export function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).sort(([one], [two]) => (one < two ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sortKeys(item)]));
}
