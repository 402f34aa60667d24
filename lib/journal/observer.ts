/**
 * Where the parts that take time say what they are about to do. A plugin's process listens (./chronicle.ts); elsewhere,
 * in cnictl and in tests, nobody does.
 */

export interface Child {
  readonly tool: string;
  readonly args: readonly string[];
  /** Its stdin. */
  readonly input: string;
}

/** To be called when the child has ended: `0`, another exit status, a signal's name, `timed out`, `not started`. */
export type ChildEnded = (ending: string) => void;

export interface Observer {
  step(what: string): void;
  work(what: string): void;
  child(child: Child): ChildEnded;
}

let observer: Observer | undefined;

export function observe(next: Observer | undefined): void {
  observer = next;
}

/** Where the call is from here on. */
export function noteStep(what: string): void {
  observer?.step(what);
}

/** The same, of something that a call with nothing to do would not come to: `wait for …`, `release …`. */
export function noteWork(what: string): void {
  observer?.work(what);
}

/** A child process is about to start, which is work, too. */
export function noteChild(child: Child): ChildEnded {
  return observer?.child(child) ?? (() => {});
}
