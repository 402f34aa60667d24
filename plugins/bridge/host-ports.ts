/** Host ports in bridge's own entry of the conflist, in place of a portmap behind it: one process for a pod instead of two. */
import * as z from 'zod/mini';
import { readAllRecords, readRecord } from '../../lib/attachment/port-record-store.ts';
import { uninterrupted } from '../../lib/cni/delegate.ts';
import { decode, type JsonObject } from '../../lib/cni/json.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import type { Result } from '../../lib/cni/result.ts';
import type { BackendName } from '../../lib/firewall/backend.ts';
import type { Rider } from '../../lib/firewall/rider.ts';
import { forwardPorts } from '../../lib/hostports/add.ts';
import { deletePorts } from '../../lib/hostports/attachment.ts';
import { attachmentOf, type Forwarding } from '../../lib/hostports/forwarding.ts';
import { tracesOf } from '../../lib/hostports/holders.ts';
import { removeRecorded } from '../../lib/hostports/release.ts';
import type { PortmapConfig } from '../../lib/hostports/schema.ts';

const keys = z.record(z.string(), z.unknown());

const portsSchema = z.object({
  capabilities: z._default(keys, {}),
  runtimeConfig: z._default(z.looseObject({ portMappings: z.optional(z.unknown()) }), {}),
  portmap: z.optional(keys),
});

/**
 * portmap's configuration within `raw`; `undefined` where the entry takes no ports. A runtime may keep `capabilities` to
 * itself (SPEC.md "Deriving execution configuration from plugin configuration"): then mappings beside a `portmap` say so.
 * Mappings alone do not: some hand them to every plugin of a list.
 */
export function portKeys(raw: JsonObject): JsonObject | undefined {
  const { capabilities, runtimeConfig, portmap } = decode(portsSchema, raw, 'bridge configuration');
  const isGiven = portmap !== undefined && runtimeConfig.portMappings !== undefined;
  if (capabilities.portMappings !== true && !isGiven) return undefined;
  return { ...portmap, runtimeConfig };
}

/** The ports of one ADD. */
export interface TakenPorts {
  readonly firewall: BackendName;
  /**
   * Forwards them, with `rider` in the same transaction. Their record stays locked, so that no GC takes them away, until
   * this process ends: there is more of the attachment to come. Throws code 107 when one is another container's, 11.
   */
  take(rider: Rider | undefined): Promise<void>;
  /** Takes back what take() did. */
  giveBack(): Promise<void>;
}

export function takenPorts(call: Call, forwarding: Forwarding, config: PortmapConfig, result: Result): TakenPorts {
  let isTaken = false;
  return {
    firewall: forwarding.backend,
    async take(rider) {
      const traces = tracesOf(call, result);
      await forwardPorts(forwarding, {
        host: call.host,
        policy: config.hostPortConflict,
        traces,
        takenBy: 'bridge',
        rider,
      });
      isTaken = true;
    },
    async giveBack() {
      const read = isTaken ? readRecord(forwarding) : undefined;
      if (read !== undefined && read !== 'damaged') await removeRecorded(read, uninterrupted(call).host);
    },
  };
}

/** The ports of one DEL. */
export interface LeavingPorts {
  /** Where their rules are; `undefined` where that is not recorded. */
  readonly firewall: BackendName | undefined;
  remove(rider: Rider | undefined): Promise<void>;
}

/**
 * `undefined` where there are none. Also those that a portmap took whose entry is gone from the list by now: one that is
 * still there was called before, and has left nothing.
 */
export function leavingPorts(call: Call): LeavingPorts | undefined {
  const keys = portKeys(call.config.raw);
  const record = readRecord(attachmentOf(call));
  if (keys === undefined && record === undefined) return undefined;
  return {
    firewall: record === 'damaged' ? undefined : record?.backend,
    remove: (rider) => deletePorts(call, keys ?? {}, { record, rider }),
  };
}

/** Whether this network has ports that bridge took: for GC, which may be called with less than ADD was. */
export function mayHavePorts({ config: { raw, name } }: Call): boolean {
  return portKeys(raw) !== undefined || readAllRecords().some(({ network, takenBy }) => network === name && takenBy);
}
