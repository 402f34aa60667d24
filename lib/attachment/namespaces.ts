/**
 * Every network namespace that anything on this host still refers to: a process or thread in it, a descriptor, a mount.
 * Each is entered once, for its cookie and its addresses.
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { CniError, code, hasErrno } from '../cni/errors.ts';
import { netnsCookie } from '../linux/libc.ts';
import { openNetns } from '../linux/netns.ts';
import { parseIp } from '../net/ip.ts';

export interface VisibleNamespaces {
  readonly cookies: ReadonlySet<string>;
  /** Addresses of all links, canonical. */
  readonly addresses: ReadonlySet<string>;
}

/** How often processes may end under our eyes before we say that nothing can be told. */
const MAX_ROUNDS = 5;

/** `undefined` when this /proc does not show everything, or one of the namespaces cannot be entered. */
export function visibleNamespaces(): VisibleNamespaces | undefined {
  try {
    if (!procShowsAll(readFileSync('/proc/self/mountinfo', 'utf8'), readlinkSync('/proc/self/ns/pid')))
      return undefined;
    for (let round = 1; round <= MAX_ROUNDS; round += 1) {
      const seen = lookInto(findNamespaces());
      if (seen !== undefined) return seen;
    }
    return undefined;
  } catch {
    // Something could not be looked at: then nothing is shown to be absent.
    return undefined;
  }
}

/** The first pid namespace has this inode number in every kernel (PROC_PID_INIT_INO). */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]';

/** Pure: whether /proc, mounted as `mountinfo` says, shows the processes of the whole machine. */
export function procShowsAll(mountinfo: string, pidNamespace: string): boolean {
  if (pidNamespace !== INITIAL_PID_NAMESPACE) return false;
  const line = mountinfo.split('\n').findLast((text) => text.split(' ')[4] === '/proc');
  const [type, , options = ''] = line?.split(' - ')[1]?.split(' ') ?? [];
  if (type !== 'proc') return false;
  return options.split(',').every((option) => !option.startsWith('subset=') && !/^hidepid=(?!0$|off$)/.test(option));
}

/** Paths to each, by its `net:[inode]`: the process that one of them goes through may end before it is followed. */
type Found = Map<string, string[]>;

/** Enough that one of them outlives a scan; the rest would only cost. */
const MAX_PATHS = 16;

function add(found: Found, name: string, path: string): void {
  const paths = found.get(name);
  if (paths === undefined) found.set(name, [path]);
  else if (paths.length < MAX_PATHS) paths.push(path);
}

function findNamespaces(): Found {
  const found: Found = new Map();
  const mountsSeen = new Map<string, number>();
  const device = statSync('/proc/self/ns/net').dev;
  for (const pid of list('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const task of list(`/proc/${pid}/task`)) note(found, `/proc/${pid}/task/${task}/ns/net`);
    for (const fd of list(`/proc/${pid}/fd`)) noteDescriptor(found, { pid, fd, device });
    const mounts = link(`/proc/${pid}/ns/mnt`);
    if (mounts === undefined || mountsSeen.get(mounts) === MAX_PATHS) continue;
    const mountinfo = read(`/proc/${pid}/mountinfo`);
    // A process that ended meanwhile tells nothing of its mounts; another one in the same namespace does.
    if (mountinfo !== '') mountsSeen.set(mounts, (mountsSeen.get(mounts) ?? 0) + 1);
    for (const [name, path] of parseMounts(mountinfo)) add(found, name, `/proc/${pid}/root${path}`);
  }
  return found;
}

function note(found: Found, path: string): void {
  const name = link(path);
  if (name?.startsWith('net:[') === true) add(found, name, path);
}

interface Descriptor {
  readonly pid: string;
  readonly fd: string;
  /** Of the file system that namespaces are on. */
  readonly device: number;
}

/** Inode numbers of namespaces begin here (PROC_DYNAMIC_FIRST), where those of few other files are. */
const FIRST_INODE = 0xf0000000;

/**
 * A namespace that was opened by the path it is mounted at has that path for a name, or `/` when it is mounted no more.
 * Looked at only where its inode number may be one: stat(2) may wait for ever for what a dead server keeps.
 */
function noteDescriptor(found: Found, { pid, fd, device }: Descriptor): void {
  const path = `/proc/${pid}/fd/${fd}`;
  const name = link(path);
  if (name?.startsWith('/') !== true) {
    note(found, path);
    return;
  }
  const inode = Number(/^ino:\s*(\d+)$/m.exec(read(`/proc/${pid}/fdinfo/${fd}`))?.[1]);
  if (!(inode >= FIRST_INODE)) return;
  const stat = unlessGone(() => statSync(path, { throwIfNoEntry: false }), undefined);
  // Which kind of namespace it is shows when it is entered.
  if (stat?.dev === device && stat.ino === inode) add(found, `${ANY_KIND}${inode}`, path);
}

const ANY_KIND = 'some:';

/** Name and path of each network namespace that is mounted somewhere (proc_pid_mountinfo(5)). */
export function parseMounts(mountinfo: string): [name: string, path: string][] {
  return mountinfo.split('\n').flatMap((line): [string, string][] => {
    const [, , , root = '', path = ''] = line.split(' ');
    return root.startsWith('net:[') ? [[root, path.replace(/\\(\d{3})/g, (_, octal) => character(octal))]] : [];
  });
}

function character(octal: string): string {
  return String.fromCharCode(Number.parseInt(octal, 8));
}

/** `undefined` when all paths to one of them went meanwhile: something else may still refer to it. */
function lookInto(found: Found): VisibleNamespaces | undefined {
  const cookies = new Set<string>();
  const addresses = new Set<string>();
  for (const [name, paths] of found) {
    const seen = firstSeen(paths, name.startsWith(ANY_KIND) ? lookIntoAny : lookIntoOne);
    if (seen === undefined) return undefined;
    if (seen === 'other') continue;
    cookies.add(seen.cookie);
    for (const address of seen.addresses) addresses.add(address);
  }
  return { cookies, addresses };
}

type Seen = { readonly cookie: string; readonly addresses: readonly string[] };

function firstSeen<T>(paths: readonly string[], look: (path: string) => T | undefined): T | undefined {
  for (const path of paths) {
    const seen = look(path);
    if (seen !== undefined) return seen;
  }
  return undefined;
}

/** `undefined` when it went meanwhile. */
function lookIntoOne(path: string): Seen | undefined {
  if (isGone(path)) return undefined;
  using netns = openNetns(path);
  return netns.run(() => ({ cookie: netnsCookie(), addresses: localAddresses() }));
}

/** 'other' for a namespace of another kind, which setns(2) refuses. */
function lookIntoAny(path: string): Seen | 'other' | undefined {
  try {
    return lookIntoOne(path);
  } catch (error) {
    if (error instanceof CniError && error.code === code.invalidNetns) return isGone(path) ? undefined : 'other';
    throw error;
  }
}

function isGone(path: string): boolean {
  try {
    readFileSync(path);
    return false;
  } catch (error) {
    // EINVAL is what reading a namespace that is there gives.
    return hasErrno(error, 'ENOENT', 'ESRCH');
  }
}

function localAddresses(): string[] {
  const net = '/proc/thread-self/net';
  return [...parseFibTrie(read(`${net}/fib_trie`)), ...parseIfInet6(read(`${net}/if_inet6`))];
}

/** The addresses that are the namespace's own (proc_pid_net(5)). */
export function parseFibTrie(text: string): string[] {
  return [...text.matchAll(/\|-- ([\d.]+)\n\s+\/32 host LOCAL/g)].map(([, address = '']) => address);
}

export function parseIfInet6(text: string): string[] {
  const words = text.split('\n').map((line) => line.split(' ')[0] ?? '');
  return words
    .filter((word) => /^[0-9a-f]{32}$/.test(word))
    .map((word) => parseIp((word.match(/.{4}/g) ?? []).join(':'))?.text ?? '');
}

/** Entries of a folder of /proc; none for a process that ended. */
function list(folder: string): string[] {
  return unlessGone(() => readdirSync(folder), []);
}

function read(path: string): string {
  return unlessGone(() => readFileSync(path, 'utf8'), '');
}

function link(path: string): string | undefined {
  return unlessGone(() => readlinkSync(path), undefined);
}

function unlessGone<T>(action: () => T, otherwise: T): T {
  try {
    return action();
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ESRCH', 'EINVAL')) return otherwise;
    throw error;
  }
}
