/** What a row of the tables says: plugins, whom they attach, and in what the two makes may differ. */

import type { JsonObject } from '../support/networks.ts';
import type { World } from '../support/world.ts';
import type { DifferenceName } from './differences.ts';

export interface Configuration {
  readonly what: string;
  /** cniVersion; 1.1.0 when absent. */
  readonly version?: string;
  /** The plugins of the list in their order. `@` is the world's folder. */
  readonly plugins: readonly JsonObject[];
  /** A result for the first plugin. */
  readonly prevResult?: JsonObject;
  /** Who is attached, one after the other; `eth0` of one pod when absent. */
  readonly attachments?: readonly Attachment[];
  /** Makes the node, or the pod, what the configuration is about. */
  readonly prepare?: (world: World) => Promise<unknown>;
  /** Each of them is seen here, and no other. */
  readonly differs?: readonly DifferenceName[];
}

export interface Attachment {
  /** Number of the pod, which is also the container's; 1 when absent. */
  readonly pod?: number;
  readonly containerId?: string;
  /** `eth0` when absent. */
  readonly ifname?: string;
  /** CNI_ARGS. */
  readonly args?: string;
  readonly runtimeConfig?: JsonObject;
  /** Name of the network; `testnet` when absent. */
  readonly network?: string;
  /** Over the keys of the first plugin. */
  readonly over?: JsonObject;
}

export function attachmentsOf({ attachments }: Configuration): readonly Attachment[] {
  return attachments ?? [{}];
}

export function versionOf({ version }: Configuration): string {
  return version ?? '1.1.0';
}
