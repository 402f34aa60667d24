/**
 * Between making the bridge and joining it, an ADD holds a shared lock of the bridge's name; whoever replaces what others
 * may be about to rely on, because nobody hangs on the bridge, takes it alone. Else two first ADDs of different networks
 * would take each other's gateway away.
 */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { RUN_FOLDER } from '../../lib/attachment/run-folder.ts';
import type { Host } from '../../lib/cni/plugin.ts';
import { type HeldLock, takeLock } from '../../lib/linux/lock.ts';
import { ownCookie } from '../../lib/linux/netns.ts';

/** Longer than any ADD is between the two. */
const DEADLINE_MS = 30_000;

export interface BridgeLock extends Disposable {
  /** Throws code 11. */
  makeExclusive(): Promise<void>;
}

/** `bridge` is an interface name. Throws code 5 and 11. */
export async function lockBridge(host: Host, bridge: string): Promise<BridgeLock> {
  const path = `${RUN_FOLDER}/bridge-${ownCookie()}-${bridge}`;
  const options = { mode: 0o600, deadlineMs: DEADLINE_MS, checkpoint: () => host.checkpoint() };
  if (!makeRunFolder()) return UNLOCKED;
  let held: HeldLock = await takeLock(path, { ...options, isShared: true });
  return {
    async makeExclusive() {
      // Not by upgrading: two that wait for each other would wait for ever.
      held[Symbol.dispose]();
      held = await takeLock(path, options);
    },
    [Symbol.dispose]: () => held[Symbol.dispose](),
  };
}

/** On a host whose /run cannot be written nobody is kept out: without the lock all but that one race goes well. */
const UNLOCKED: BridgeLock = { makeExclusive: async () => {}, [Symbol.dispose]: () => {} };

function makeRunFolder(): boolean {
  try {
    mkdirSync(RUN_FOLDER, { recursive: true, mode: 0o700 });
    accessSync(RUN_FOLDER, constants.W_OK);
    return true;
  } catch {
    // Read-only, or something else by that name.
    return false;
  }
}
