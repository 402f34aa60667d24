/** What a plugin is, and what one call of it knows. */
import type { RecordHandle } from '../attachment/record-handle.ts';
import type { JsonObject } from './json.ts';
import type { Result } from './result.ts';

/** The verbs that reach a plugin; VERSION is answered before. */
export type Verb = 'ADD' | 'CHECK' | 'DEL' | 'GC' | 'STATUS';

/** The network configuration on stdin: the keys that every plugin shares, and all of them as they came. */
export interface NetConf {
  readonly name: string;
  /** '' when the configuration has none (it then means 0.1.0). */
  readonly cniVersion: string;
  readonly raw: JsonObject;
}

/** One call: environment and stdin, validated by ./request.ts. Where a verb does not carry a value, it is ''. */
export interface Call {
  readonly verb: Verb;
  readonly containerId: string;
  /** Path of the container's network namespace. */
  readonly netns: string;
  readonly ifname: string;
  /** CNI_ARGS as it came: each plugin knows its own keys. */
  readonly args: string;
  /** Folders of CNI_PATH. */
  readonly path: readonly string[];
  readonly config: NetConf;
  /** Stdin as it came, for delegates. */
  readonly stdin: string;
  /** The whole environment, for delegates only. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly host: Host;
  /** The record that an ADD of ours writes: an IPAM plugin in the same process adds its leases to it. */
  readonly record?: RecordHandle;
}

/** What a call may ask of the process it runs in. */
export interface Host {
  /** One line on stderr, where the runtime's log picks it up; never stdout. */
  warn(message: string): void;
  /** Lets a SIGTERM be seen (a handler cannot run while synchronous code does); throws code 105 when one came. */
  checkpoint(): Promise<void>;
  /** Our plugins by name, for delegates that resolve to this very executable. */
  readonly builtins: ReadonlyMap<string, Plugin>;
}

/** Every plugin answers every verb: leaving one out is a compile error. */
export interface Plugin {
  readonly name: string;
  add(call: Call): Promise<Result>;
  check(call: Call): Promise<void>;
  del(call: Call): Promise<void>;
  gc(call: Call): Promise<void>;
  status(call: Call): Promise<void>;
}
