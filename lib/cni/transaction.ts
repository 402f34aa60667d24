/** Undoing a failed ADD: exactly the steps that this call completed (or may have half done), in reverse. */
import { noteStep } from '../journal/observer.ts';
import { asCniError, CniError, messageOf } from './errors.ts';
import type { Host } from './plugin.ts';

export interface Transaction {
  /** Runs one step, unless a SIGTERM came since the last one. */
  step<T>(action: () => T | Promise<T>): Promise<T>;
  /**
   * Registers what to do when a later step fails. Register before a step that can stop half-way (the undo must then
   * do no harm where nothing was done) and after one that is all or nothing.
   */
  onFailure(what: string, undo: () => void | Promise<void>): void;
}

/** Runs `body`; when it fails, undoes in reverse and throws the failure. What could not be undone is in its details. */
export async function transaction<T>(host: Host, body: (tx: Transaction) => Promise<T>): Promise<T> {
  const undos: Undo[] = [];
  const tx: Transaction = {
    async step(action) {
      await host.checkpoint();
      return action();
    },
    onFailure(what, undo) {
      undos.push({ what, undo });
    },
  };
  try {
    const value = await body(tx);
    await host.checkpoint();
    return value;
  } catch (error) {
    throw await undoAll(undos, error);
  }
}

interface Undo {
  readonly what: string;
  readonly undo: () => void | Promise<void>;
}

async function undoAll(undos: Undo[], error: unknown): Promise<CniError> {
  const left: string[] = [];
  for (const { what, undo } of undos.reverse()) {
    noteStep(`undo: ${what}`);
    try {
      await undo();
    } catch (failure) {
      left.push(`could not ${what}: ${messageOf(failure)}`);
    }
  }
  const first = asCniError(error);
  if (left.length === 0) return first;
  const details = [first.details, ...left].filter((text) => text !== '').join('; ');
  return new CniError(first.code, first.message, { details, cause: error });
}
