/** What an ADD writes down of its attachment so that anybody can later show whether it lives (./liveness.ts judges). */
import * as z from 'zod/mini';
import { ifnameProblem } from '../cni/names.ts';
import { bootId, machineId, sinceBootMs } from '../linux/boot.ts';
import { ownCookie } from '../linux/netns.ts';
import { podOf } from './pod.ts';

export const mac = z.string().check(z.regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/));
export const ifname = z.string().check(z.refine((text) => ifnameProblem(text) === undefined));

export const tracesShape = {
  bootId: z.string(),
  machineId: z.string(),
  /** Cookies of network namespaces; '' where the kernel has none or nobody could look. */
  hostNetns: z.string(),
  containerNetns: z.string(),
  netnsPath: z.string(),
  /** The host's end of the pair. */
  hostLink: z.optional(z.object({ name: ifname, mac })),
  /** Wall clock, for people only. */
  timeMs: z.number(),
  /** Since boot. */
  bootMs: z.number(),
  pod: z.optional(z.object({ namespace: z.string(), name: z.string() })),
};

const tracesSchema = z.object(tracesShape);

export type Traces = z.output<typeof tracesSchema>;

export interface Traced {
  /** CNI_NETNS. */
  readonly netns: string;
  /** '' where it cannot be told. */
  readonly containerNetns: string;
  /** CNI_ARGS. */
  readonly args: string;
}

/** The traces of an attachment that is made now, in this network namespace; its link may not be known yet. */
export function leaveTraces({ netns, containerNetns, args }: Traced): Traces {
  const pod = podOf(args);
  return {
    bootId: bootId(),
    machineId: machineId(),
    hostNetns: ownCookie(),
    containerNetns,
    netnsPath: netns,
    timeMs: Date.now(),
    bootMs: sinceBootMs(),
    ...(pod === undefined ? {} : { pod }),
  };
}
