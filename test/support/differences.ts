/** Every way in which we differ from the reference plugins on purpose; tests of equality allow these and no others. */

import type { Snapshot } from './snapshot.ts';

export interface Difference {
  readonly what: string;
  readonly why: string;
  /** Brings both sides' text to the same. */
  readonly even: (line: string) => string | undefined;
}

/** Of what ADD leaves in the kernel. */
export const kernelDifferences: readonly Difference[] = [
  {
    what: 'the pair has the same queue length on both ends',
    why: 'the reference sends txqlen 0 for the end on the node, its library being unable to leave it out',
    even: (line) => line.replace(/"txqlen":\d+,?/, ''),
  },
  {
    what: 'accept_dad, accept_ra and the like are compared for the links of the attachment only',
    why: 'what all, default and lo have is the namespace’s own',
    even: (line) => (/conf\/(all|default|lo)\/(accept_|arp_|keep_)/.test(line) ? undefined : line),
  },
];

export function evened(snapshot: Snapshot): Snapshot {
  const even = (lines: readonly string[]) => lines.flatMap((line) => evenLine(line)).sort();
  return { ...snapshot, node: even(snapshot.node), pod: even(snapshot.pod), rules: [...snapshot.rules] };
}

function evenLine(line: string): string[] {
  let text: string | undefined = line;
  for (const { even } of kernelDifferences) text = text === undefined ? undefined : even(text);
  return text === undefined ? [] : [text];
}

export interface ProtocolDifference {
  readonly plugin: string;
  readonly verb: string;
  readonly versions: readonly string[];
  /** Error code of each side; undefined for success. */
  readonly ours: number | undefined;
  readonly theirs: number | undefined;
  readonly why: string;
}

/** Of which verbs are accepted, and with which code they are refused. */
export const protocolDifferences: readonly ProtocolDifference[] = [
  {
    plugin: 'loopback',
    verb: 'ADD',
    versions: ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0'],
    ours: undefined,
    theirs: undefined,
    why: 'the reference prints the newest shape under the old version; ours has the shape of the version',
  },
  ...['bridge', 'host-local', 'portmap', 'loopback'].map((plugin) => ({
    plugin,
    verb: 'GC',
    versions: ['1.1.0'],
    ours: 7,
    theirs: undefined,
    why: 'without a list of the valid attachments nobody knows what is garbage; the reference collects nothing anyway',
  })),
];
