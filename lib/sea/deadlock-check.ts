/**
 * The runtime is linked with a debug build of abseil, whose mutexes look for deadlocks at every lock; V8's are such
 * mutexes. Setting that up takes a megabyte of memory and one page fault in thirteen of a start.
 */

import { offsetOfSymbol } from './symbol.ts';

/** `absl::synch_deadlock_detection`, which holds an OnDeadlockCycle, as the compiler names it. */
const mode = '_ZN4absl12_GLOBAL__N_124synch_deadlock_detectionE.0';
const kAbort = 2;
const kIgnore = 0;

/** Lets a runtime that was not stripped start as if it called absl::SetMutexDeadlockDetectionMode(kIgnore). */
export function ignoreDeadlocks(image: Buffer): void {
  const offset = offsetOfSymbol(image, mode);
  const found = image.readUInt32LE(offset);
  if (found !== kAbort)
    throw new Error(`cannot turn the runtime's deadlock check off: its mode is ${found}, not ${kAbort}`);
  image.writeUInt32LE(kIgnore, offset);
}
