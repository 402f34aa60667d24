/**
 * Packets from the host's 127.0.0.1 to containers: `route_localnet` of the links that lead there, and the guard that it
 * makes necessary, for as long as anybody needs them. Who does is told by the records of forwarded ports.
 */
import { withPortLock } from '../attachment/port-lock.ts';
import { type LocalnetUser, localnetUsers, readRegistry } from '../attachment/port-registry.ts';
import type { Checkpoints } from '../attachment/store-lock.ts';
import * as inIptables from '../iptables/localnet-guard.ts';
import { readSysctl, writeSysctl } from '../linux/sysctl.ts';
import * as inNft from '../nft/localnet-guard.ts';
import * as inSets from '../nft/sets-guard.ts';
import type { BackendName } from './backend.ts';

interface Guard {
  /** Throws ToolError, or code 11. */
  removeGuard(): void;
}

export const guards: { readonly [B in BackendName]: Guard } = {
  iptables: inIptables,
  nftables: inNft,
  sets: inSets,
};

export function isOpen(link: string): boolean {
  return readSysctl(nameOf(link)) === '1';
}

/** Throws code 5. */
export function open(link: string): void {
  writeSysctl(nameOf(link), '1');
}

function nameOf(link: string): string {
  return `net/ipv4/conf/${link}/route_localnet`;
}

/** Guards and open links that nobody needs. */
export interface Needless {
  readonly backends: readonly BackendName[];
  readonly links: readonly string[];
}

/** What goes with `gone` when only `left` stay. Pure. */
export function needless(gone: readonly LocalnetUser[], left: readonly LocalnetUser[]): Needless {
  const backends = new Set(gone.map(({ backend }) => backend));
  const links = new Set(gone.filter(({ wasOpen }) => !wasOpen).map(({ link }) => link));
  for (const { backend, link } of left) {
    backends.delete(backend);
    links.delete(link);
  }
  return { backends: [...backends], links: [...links] };
}

/** A link that is gone is closed. Throws code 5. */
export function close(links: readonly string[]): void {
  for (const link of links) if (isOpen(link)) writeSysctl(nameOf(link), '0');
}

/**
 * After attachments were forgotten: `before` them these used it. Usually that is a look at one small file; where nobody is
 * left it takes the lock of the host's ports. Throws ToolError, code 5 and 11.
 */
export async function settleLocalnet(before: readonly LocalnetUser[], host: Checkpoints): Promise<void> {
  if (before.length === 0) return;
  const { backends, links } = needless(before, localnetUsers(readRegistry()));
  if (backends.length + links.length > 0) await withPortLock(host, async () => settle(before));
}

/** The same for the holder of the lock. */
export function settle(before: readonly LocalnetUser[]): void {
  const { backends, links } = needless(before, localnetUsers(readRegistry()));
  close(links);
  for (const backend of backends) guards[backend].removeGuard();
}

/** The guards in `backends` that nobody is known to need: of attachments whose records were lost. Throws as the others. */
export async function removeNeedlessGuards(backends: readonly BackendName[], host: Checkpoints): Promise<void> {
  const spare = () => {
    const needed = new Set(localnetUsers(readRegistry()).map(({ backend }) => backend));
    return backends.filter((backend) => !needed.has(backend));
  };
  if (spare().length === 0) return;
  await withPortLock(host, async () => {
    for (const backend of spare()) guards[backend].removeGuard();
  });
}
