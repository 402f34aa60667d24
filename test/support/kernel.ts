/** What this machine's kernel may lack: a test that needs it is skipped, visibly, and no other test ever is. */

import type { TestContext } from 'vitest';
import { type Command, exec } from './process.ts';
import { createWorld } from './world.ts';

/** Tests that are skipped by this, and only they, are no objection to a run (./totals.ts). */
export interface SkipReason {
  readonly kernel?: string;
}

/** Skips the test that `context` is of when `isGiven`; `reason` is about the kernel, like `kernel cannot filter VLANs`. */
export function skipForKernel({ task, skip }: TestContext, isGiven: boolean, reason: string): void {
  if (!isGiven) return;
  Object.assign(task.meta, { kernel: reason } satisfies SkipReason);
  skip(reason);
}

/** Whether `command` succeeds in a fresh network namespace. */
export async function kernelCan(command: Command): Promise<boolean> {
  await using world = await createWorld();
  return (await exec(world.node.enter(command))).exitCode === 0;
}
