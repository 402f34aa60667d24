/** What ./liveness.ts judges by, read from this host: each thing when it is first asked for, and once. */
import { existsSync, statfsSync } from 'node:fs';
import { query } from '../iproute2/batch.ts';
import type { LinkInfo } from '../iproute2/show.ts';
import { bootId, bootTimeMs, machineId, sinceBootMs } from '../linux/boot.ts';
import { cookieAt, ownCookie } from '../linux/netns.ts';
import type { Observed, ObservedHost } from './liveness.ts';
import { visibleNamespaces } from './namespaces.ts';
import { cachedSandbox } from './result-cache.ts';
import type { Store } from './store.ts';

export interface Judging {
  /** Youngest age at which an attachment of another interface plugin may be found dead. */
  readonly minAgeMs: number;
}

/** Starts at most one child, `ip`, and that only when links matter: not for the holder of a lock. */
export function observe(store: Store, judging: Judging): Observed {
  // Before our first ADD there are no records, but the reference's leases.
  const folder = existsSync(store.drafts) ? store.drafts : store.leases;
  return { ...observeHost(folder, judging), cachedSandbox: (owner) => cachedSandbox(store.network, owner) };
}

/** The same for records in `folder` that are of no network's store. */
export function observeHost(folder: string, { minAgeMs }: Judging): ObservedHost {
  const cookies = new Map<string, string | undefined>();
  return {
    bootId: bootId(),
    machineId: machineId(),
    hostNetns: ownCookie(),
    isLocal: isLocal(folder),
    sinceBootMs: sinceBootMs(),
    bootTimeMs: bootTimeMs(),
    minAgeMs,
    links: once(allLinks),
    cookieAt(path) {
      if (!cookies.has(path)) cookies.set(path, cookieAt(path));
      return cookies.get(path);
    },
    namespaces: once(visibleNamespaces),
  };
}

function once<T>(look: () => T): () => T {
  let seen: { readonly value: T } | undefined;
  return () => {
    seen ??= { value: look() };
    return seen.value;
  };
}

function allLinks(): ReturnType<Observed['links']> {
  try {
    const links = query<LinkInfo>([['link', 'show']]).flat();
    return {
      names: new Set(links.map(({ ifname }) => ifname)),
      macs: new Set(links.map(({ address = '' }) => address).filter((mac) => mac !== '')),
    };
  } catch {
    // Without ip nothing can be shown to be gone.
    return undefined;
  }
}

/**
 * statfs(2) magics of file systems that belong to one machine at a time. Whatever is not listed (NFS, CephFS, 9p, FUSE,
 * …) may be another machine's as well.
 */
const LOCAL_FILE_SYSTEMS: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0x01021994, // tmpfs
  0x794c7630, // overlayfs
  0xf2f52010, // F2FS
  0x2fc12fc1, // ZFS
  0xca451a4e, // bcachefs
  0x24051905, // UBIFS
  0x3153464a, // JFS
  0x3434, // NILFS
]);

/** Whether `folder` is on a file system of this machine alone; without an answer it is not. */
export function isLocal(folder: string): boolean {
  try {
    return LOCAL_FILE_SYSTEMS.has(statfsSync(folder).type >>> 0);
  } catch {
    return false;
  }
}
