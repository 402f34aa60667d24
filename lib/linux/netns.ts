/** Network namespaces by path: which a path leads to, and running code inside one (network_namespaces(7)). */
import { closeSync, openSync, statfsSync, statSync } from 'node:fs';
import { CniError, code, hasErrno, messageOf } from '../cni/errors.ts';
import { netnsCookie, setNetns } from './libc.ts';

/** statfs(2) magics of a namespace file: a bind mount or /proc/PID/ns/net (nsfs), or procfs on old kernels. */
const NSFS_MAGIC = 0x6e736673;
const PROC_MAGIC = 0x9fa0;

const OWN = '/proc/self/ns/net';

export type NetnsState = 'netns' | 'absent' | 'other';

/** What `path` leads to: a network namespace, nothing, or something else (a stale file where one was mounted). */
export function netnsState(path: string): NetnsState {
  if (path === '') return 'absent';
  try {
    const { type } = statfsSync(path);
    return type === NSFS_MAGIC || type === PROC_MAGIC ? 'netns' : 'other';
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return 'absent';
    throw netnsError(path, messageOf(error), error);
  }
}

/** True when `path` leads to the namespace that this process is in. A path that cannot be looked at is not. */
export function isOwnNetns(path: string): boolean {
  const own = statOrUndefined(OWN);
  if (own === undefined) {
    throw new CniError(code.invalidNetns, "get plugin's netns failed", {
      details: `cannot read ${OWN}; is /proc mounted?`,
    });
  }
  const other = statOrUndefined(path);
  return other !== undefined && other.dev === own.dev && other.ino === own.ino;
}

function statOrUndefined(path: string) {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    // Not readable for us: not ours, since our own is.
    return undefined;
  }
}

/** An open network namespace: it stays the same one, whatever happens to its path. */
export interface Netns extends Disposable {
  /** A path without odd characters that leads to it for our children: `/proc/PID/fd/N`. */
  readonly fdPath: string;
  /**
   * Runs `action` inside: its /proc/sys/net, its /proc/net and every child it starts belong to this namespace. It
   * must be synchronous, since the whole thread is inside.
   */
  run<T>(action: () => T): T;
}

/** Opens the namespace at `path`. Throws code 8. */
export function openNetns(path: string): Netns {
  const state = netnsState(path);
  if (state !== 'netns') {
    throw netnsError(path, state === 'absent' ? 'no such file or directory' : 'it is no network namespace');
  }
  const fd = openOr8(path);
  return {
    fdPath: `/proc/${process.pid}/fd/${fd}`,
    run: (action) => runInside({ fd, path }, action),
    [Symbol.dispose]: () => closeSync(fd),
  };
}

/** The cookie of the namespace that this process is in: never given twice in a boot, unlike inode numbers. '' without. */
export function ownCookie(): string {
  return netnsCookie();
}

/**
 * The cookie of the namespace that `path` leads to; '' when it leads to none, `undefined` when that cannot be told (no
 * permission, an old kernel).
 */
export function cookieAt(path: string): string | undefined {
  try {
    if (netnsState(path) !== 'netns') return '';
    using netns = openNetns(path);
    const cookie = netns.run(netnsCookie);
    return cookie === '' ? undefined : cookie;
  } catch {
    // It went between two looks, or is not ours to enter: whoever asks must not take that for an answer.
    return undefined;
  }
}

function runInside<T>({ fd, path }: { fd: number; path: string }, action: () => T): T {
  const home = openSync(OWN, 'r');
  try {
    enter(fd, path);
    try {
      return action();
    } finally {
      setNetns(home);
    }
  } finally {
    closeSync(home);
  }
}

/** Another kind of namespace looks the same from outside. */
function enter(fd: number, path: string): void {
  try {
    setNetns(fd);
  } catch (error) {
    throw netnsError(path, `${messageOf(error)} (is it a network namespace, and is this root?)`, error);
  }
}

function openOr8(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (error) {
    throw netnsError(path, messageOf(error), error);
  }
}

function netnsError(path: string, state: string, cause?: unknown): CniError {
  return new CniError(code.invalidNetns, `failed to open netns ${JSON.stringify(path)}: ${state}`, {
    details: 'CNI_NETNS must be the path of a network namespace, as in /run/netns/NAME or /proc/PID/ns/net',
    cause,
  });
}
