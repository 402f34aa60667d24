/** Which container is meant: from the namespace on the command line to its path and, as cnitool does, to an ID. */
import { resolve } from 'node:path';
import { sha512Hex } from '../../lib/hash.ts';
import { netnsState } from '../../lib/linux/netns.ts';

/** Where `ip netns add NAME` puts its namespaces. */
const NAMED = '/run/netns';

/**
 * The absolute path of the namespace `text`. A bare name is one of `ip netns` unless the folder `cwd` has a namespace
 * of that name; it need not exist (any more): DEL comes after it is gone.
 */
export function netnsPath(text: string, cwd: string): string {
  const path = resolve(cwd, text);
  const isBareName = !text.includes('/') && text !== '.' && text !== '..';
  return isBareName && netnsState(path) !== 'netns' ? `${NAMED}/${text}` : path;
}

/** cnitool's container ID for the namespace at `path`: `cnitool-296747069b8a02dc4e2a` for /var/run/netns/blue. */
export function containerIdOf(path: string): string {
  return `cnitool-${sha512Hex(path).slice(0, 20)}`;
}
