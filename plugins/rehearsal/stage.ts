/**
 * While a rehearsal lasts, files of the machine are files in a folder of its own, a node of paper answers for children,
 * libc succeeds at everything, and the process is one that a runtime started: nothing of the build machine is read or
 * changed, and a call runs from the name it is called by to its exit status.
 */
import type { SpawnOptions, SpawnSyncOptionsWithBufferEncoding } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { trailerOf } from '../../lib/sea/trailer.ts';
import { BRIDGE, type PaperNode } from './node.ts';

/** Where the stage has the container's namespace and our executables. */
export const NETNS = '/run/netns/pod';
export const BIN = '/opt/cni/bin';

export interface Scene {
  /** The name that the executable is called by. */
  readonly name: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
}

export interface Ended {
  readonly exitCode: number;
  readonly stdout: string;
}

export interface Stage extends Disposable {
  /** Runs `main` to its exit. */
  perform(main: () => Promise<void>, scene: Scene): Promise<Ended>;
}

/** Until it is disposed of. `buildId` makes our executables there ours. */
export function setStage(node: PaperNode, buildId: string): Stage {
  const root = mkdtempSync(join(tmpdir(), 'nodecni-rehearsal-'));
  const put = (path: string, text: string, mode = 0o644) => {
    mkdirSync(dirname(`${root}${path}`), { recursive: true });
    writeFileSync(`${root}${path}`, text, { mode });
  };
  for (const [path, text] of Object.entries(files)) put(path, text);
  for (const tool of TOOLS) put(`/usr/sbin/${tool}`, '', 0o755);
  for (const name of ['bridge', 'host-local']) put(`${BIN}/${name}`, trailerOf(buildId), 0o755);
  const state: State = { isInPod: false, stdout: '' };
  const undo = [redirectFiles(root, state), answerChildren(node), replaceLibc(state)];
  return {
    async perform(main, { name, env, stdin }) {
      put(STDIN, stdin);
      for (const place of ['node', 'pod'] as const) put(pathIn(place, LINKS), listLinks(node.linkNames(place)));
      state.stdout = '';
      const undoProcess = replaceProcess({ env, argv0: name });
      try {
        await main();
        throw new Error(`${name} did not exit`);
      } catch (end) {
        if (end instanceof Exit) return { exitCode: end.status, stdout: state.stdout };
        throw end;
      } finally {
        undoProcess();
      }
    },
    [Symbol.dispose]() {
      for (const action of undo.reverse()) action();
      rmSync(root, { recursive: true });
    },
  };
}

interface State {
  /** setns(2) took the thread there. */
  isInPod: boolean;
  stdout: string;
}

type Place = 'node' | 'pod';

/** What /proc shows in the container is in a folder of its own. */
function pathIn(place: Place, path: string): string {
  return place === 'pod' ? `/pod${path}` : path;
}

const STDIN = '/proc/self/fd/0';
const LINKS = '/proc/thread-self/net/dev';
/** A namespace's file, by statfs(2). */
const NSFS_MAGIC = 0x6e736673;
const TOOLS = ['ip', 'iptables-restore', 'iptables-save', 'ip6tables-restore', 'ip6tables-save', 'nft', 'conntrack'];

function listLinks(names: readonly string[]): string {
  return `Inter-|\n face |\n${names.map((name) => `${name}: 0\n`).join('')}`;
}

const ROUTES = `Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask
${BRIDGE}\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF
`;

const SUBNET_ENV = `FLANNEL_NETWORK=10.0.0.0/16
FLANNEL_SUBNET=10.0.0.1/24
FLANNEL_MTU=1450
FLANNEL_IPMASQ=true
`;

const files: Readonly<Record<string, string>> = {
  [NETNS]: '',
  '/proc/self/ns/net': '',
  '/proc/sys/kernel/random/boot_id': 'boot\n',
  '/proc/uptime': '1000.00 1000.00\n',
  '/etc/machine-id': 'machine\n',
  '/proc/net/route': ROUTES,
  '/proc/net/ipv6_route': '',
  '/proc/sys/net/ipv4/ip_forward': '0\n',
  [`/proc/sys/net/ipv4/conf/${BRIDGE}/route_localnet`]: '0\n',
  '/proc/sys/net/ipv6/conf/all/forwarding': '0\n',
  '/proc/sys/net/ipv6/conf/all/disable_ipv6': '0\n',
  [`/proc/sys/net/ipv6/conf/${BRIDGE}/disable_ipv6`]: '0\n',
  [pathIn('pod', '/proc/self/ns/net')]: '',
  [pathIn('pod', '/proc/thread-self/net/if_inet6')]: 'fd000000000000000000000000000002 02 40 00 80     eth0\n',
  [pathIn('pod', '/proc/sys/net/ipv6/conf/lo/disable_ipv6')]: '1\n',
  [pathIn('pod', '/proc/sys/net/ipv6/conf/eth0/disable_ipv6')]: '1\n',
  [pathIn('pod', '/proc/sys/net/ipv6/conf/eth0/keep_addr_on_down')]: '0\n',
  [pathIn('pod', '/proc/sys/net/ipv6/conf/eth0/ndisc_notify')]: '0\n',
  [pathIn('pod', '/proc/sys/net/ipv6/conf/eth0/accept_dad')]: '1\n',
  [pathIn('pod', '/proc/sys/net/ipv4/conf/eth0/arp_notify')]: '0\n',
  '/run/flannel/subnet.env': SUBNET_ENV,
};

type Undo = () => void;
type AnyFunction = (...args: unknown[]) => unknown;

/** Replaces properties of an object, for everybody who gets at them by way of it. */
function replace(object: object, replacements: Readonly<Record<string, unknown>>): Undo {
  const originals = Object.keys(replacements).map(
    (key) => [key, Object.getOwnPropertyDescriptor(object, key)] as const,
  );
  for (const [key, value] of Object.entries(replacements)) {
    Object.defineProperty(object, key, { value, configurable: true, enumerable: true, writable: true });
  }
  return () => {
    for (const [key, original] of originals) {
      if (original === undefined) Reflect.deleteProperty(object, key);
      else Object.defineProperty(object, key, original);
    }
  };
}

class Exit extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`exit ${status}`);
    this.status = status;
  }
}

/** Handlers of signals cannot be in a snapshot. */
function replaceProcess({ env, argv0 }: { env: Scene['env']; argv0: string }): Undo {
  const exit = (status: number) => {
    throw new Exit(status);
  };
  return replace(process, { env, argv0, exit, on: () => process });
}

const WITH_TWO_PATHS: ReadonlySet<string> = new Set(['linkSync', 'renameSync']);

/** Absolute paths lead below `root`, but for devices; what is written to stdout is kept. */
function redirectFiles(root: string, state: State): Undo {
  const fs = process.getBuiltinModule('node:fs');
  const redirected = (path: unknown) => {
    if (typeof path !== 'string' || !path.startsWith('/') || path.startsWith(root) || path.startsWith('/dev/')) {
      return path;
    }
    return `${root}${pathIn(state.isInPod && path.startsWith('/proc/') ? 'pod' : 'node', path)}`;
  };
  const wrapped = Object.entries(fs).flatMap(([name, value]): [string, AnyFunction][] => {
    if (!name.endsWith('Sync') || typeof value !== 'function') return [];
    const original = value as AnyFunction;
    const hasTwo = WITH_TWO_PATHS.has(name);
    return [
      [name, (first, second, ...rest) => original(redirected(first), hasTwo ? redirected(second) : second, ...rest)],
    ];
  });
  return replace(fs, { ...Object.fromEntries(wrapped), ...specialFiles(fs, redirected, state) });
}

function specialFiles(
  fs: typeof import('node:fs'),
  redirected: (path: unknown) => unknown,
  state: State,
): Readonly<Record<string, AnyFunction>> {
  const { fstatSync, statfsSync, writeSync } = fs;
  return {
    statfsSync: (path) => ({ ...statfsSync(String(redirected(path))), type: path === NETNS ? NSFS_MAGIC : 0 }),
    fstatSync: (fd, options) => (fd === 0 ? { isFIFO: () => true } : fstatSync(Number(fd), options as undefined)),
    writeSync: (fd, data, ...rest) => {
      if (fd !== 1 && fd !== 2) return Reflect.apply(writeSync, fs, [fd, data, ...rest]);
      const text = typeof data === 'string' ? data : Buffer.from(data as Uint8Array).toString();
      if (fd === 1) state.stdout += text;
      return Buffer.byteLength(text);
    },
  };
}

/** A real child is started each time, which reads its input and does nothing with it: what that takes is rehearsed, too. */
function answerChildren(node: PaperNode): Undo {
  const childProcess = process.getBuiltinModule('node:child_process');
  const { spawnSync: original, spawn: originalBeside } = childProcess;
  const spawnSync = (file: string, args: readonly string[], options: SpawnSyncOptionsWithBufferEncoding) => {
    const ended = original('/bin/cat', [], options);
    const input = Buffer.from((options.input ?? '') as string | Uint8Array).toString();
    const stdout = Buffer.from(node.answer(basename(file), args, input));
    return { ...ended, output: [null, stdout, ended.stderr], stdout };
  };
  // What runs beside others is asked for nothing but success.
  const spawn = (file: string, args: readonly string[], options: SpawnOptions) => {
    const child = originalBeside('/bin/sh', ['-c', 'exec cat > /dev/null'], options);
    const { stdin } = child;
    if (stdin === null) throw new Error(`the rehearsal cannot start ${file}`);
    const end = stdin.end.bind(stdin);
    replace(stdin, {
      end(input: string) {
        node.answer(basename(file), args, input);
        return end(input);
      },
    });
    return child;
  };
  return replace(childProcess, { spawnSync, spawn });
}

/** node:ffi cannot be in a snapshot, and none of its calls may be made. */
function replaceLibc(state: State): Undo {
  const original = process.getBuiltinModule;
  const { openSync } = original('node:fs');
  const functions: Readonly<Record<string, AnyFunction>> = {
    setns: () => {
      state.isInPod = !state.isInPod;
      return 0;
    },
    socket: () => openSync('/dev/null', 'r'),
    // Of a link that runs.
    ioctl: (_fd, _what, request) => {
      (request as Buffer).fill(0xff, 16);
      return 0;
    },
  };
  const dlopen = (_: unknown, wanted: Readonly<Record<string, unknown>>) => ({
    functions: Object.fromEntries(Object.keys(wanted).map((name) => [name, functions[name] ?? (() => 0)])),
  });
  return replace(process, { getBuiltinModule: (id: string) => (id === 'node:ffi' ? { dlopen } : original(id)) });
}
