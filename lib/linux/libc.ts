/** The libc calls that Node lacks, through node:ffi, loaded on first use: flock(2) and setns(2). */
import type { DynamicLibrary } from 'node:ffi';
import { CniError, code } from '../cni/errors.ts';

/** flock(2) operations. */
export const LOCK_EX = 2;
const LOCK_NB = 4;
/** setns(2): the kind of namespace. */
const CLONE_NEWNET = 0x40000000;

interface Libc {
  flock(fd: number, operation: number): number;
  setns(fd: number, kind: number): number;
}

/** With its library, which must live as long as the functions do. */
let loaded: { readonly lib: DynamicLibrary; readonly functions: Libc } | undefined;

function libc(): Libc {
  // The process image itself: every Node on Linux is linked against libc.
  loaded ??= process.getBuiltinModule('node:ffi').dlopen(null, {
    flock: { arguments: ['i32', 'i32'], return: 'i32' },
    setns: { arguments: ['i32', 'i32'], return: 'i32' },
  });
  return loaded.functions;
}

/** Takes the lock of `fd` without waiting; closing releases it. False when another holder has it (LOCK_NB is added). */
export function tryFlock(fd: number, operation: number): boolean {
  return libc().flock(fd, operation | LOCK_NB) === 0;
}

/** Moves this thread, and the children it starts from now on, into the network namespace `fd`. */
export function setNetns(fd: number): void {
  if (libc().setns(fd, CLONE_NEWNET) === 0) return;
  throw new CniError(code.invalidNetns, 'cannot enter the network namespace: setns(2) was refused', {
    details: 'the plugin needs CAP_SYS_ADMIN in the host and over the container (run it as root)',
  });
}
