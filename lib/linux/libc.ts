/** The libc calls that Node lacks, through node:ffi, loaded on first use: flock(2), setns(2) and what sockets can tell. */

import type { DynamicLibrary, FunctionSignature } from 'node:ffi';
import { closeSync } from 'node:fs';
import { CniError, code } from '../cni/errors.ts';
import type { Family } from '../net/ip.ts';

/** flock(2) operations. */
export const LOCK_SH = 1;
export const LOCK_EX = 2;
const LOCK_NB = 4;
/** setns(2): the kind of namespace. */
const CLONE_NEWNET = 0x40000000;
/** socket(2) and socket(7); SO_NETNS_COOKIE is there since Linux 5.14. */
const AF_UNIX = 1;
const AF_INET: { readonly [F in Family]: number } = { 4: 2, 6: 10 };
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const SOL_SOCKET = 1;
const SO_NETNS_COOKIE = 71;
const MSG_DONTWAIT = 0x40;
/** netdevice(7): sets the MAC address of a link, tells its flags. */
const SIOCSIFHWADDR = 0x8924n;
const SIOCGIFFLAGS = 0x8913n;
const IFF_RUNNING = 0x40;
const ARPHRD_ETHER = 1;

interface Libc {
  flock(fd: number, operation: number): number;
  setns(fd: number, kind: number): number;
  socket(family: number, type: number, protocol: number): number;
  getsockopt(fd: number, level: number, option: number, value: Buffer, length: Buffer): number;
  sendto(fd: number, data: Buffer, size: bigint, flags: number, address: Buffer, length: number): bigint;
  ioctl(fd: number, request: bigint, argument: Buffer): number;
}

const SIGNATURES: { readonly [K in keyof Libc]: FunctionSignature } = {
  flock: { arguments: ['i32', 'i32'], return: 'i32' },
  setns: { arguments: ['i32', 'i32'], return: 'i32' },
  socket: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
  getsockopt: { arguments: ['i32', 'i32', 'i32', 'buffer', 'buffer'], return: 'i32' },
  sendto: { arguments: ['i32', 'buffer', 'u64', 'i32', 'buffer', 'u32'], return: 'i64' },
  ioctl: { arguments: ['i32', 'u64', 'buffer'], return: 'i32' },
};

/** Each with its library, which must live as long as the function does. */
const loaded: { [K in keyof Libc]?: { readonly lib: DynamicLibrary; readonly call: Libc[K] } } = {};

/** One by one: the machine code that node:ffi writes for a function takes longer than most calls of it. */
function libc<K extends keyof Libc>(name: K): Libc[K] {
  const known = loaded[name];
  if (known !== undefined) return known.call;
  // The process image itself: every Node on Linux is linked against libc.
  const { lib, functions } = process.getBuiltinModule('node:ffi').dlopen(null, { [name]: SIGNATURES[name] });
  const call = functions[name] as unknown as Libc[K];
  Object.assign(loaded, { [name]: { lib, call } });
  return call;
}

/** Forgets what was loaded: the startup snapshot must not carry machine code. */
export function forgetLibc(): void {
  for (const name of Object.keys(loaded)) Reflect.deleteProperty(loaded, name);
}

/** Takes the lock of `fd` without waiting; closing releases it. False when another holder has it (LOCK_NB is added). */
export function tryFlock(fd: number, operation: number): boolean {
  return libc('flock')(fd, operation | LOCK_NB) === 0;
}

/** Moves this thread, and the children it starts from now on, into the network namespace `fd`. */
export function setNetns(fd: number): void {
  if (libc('setns')(fd, CLONE_NEWNET) === 0) return;
  throw new CniError(code.invalidNetns, 'cannot enter the network namespace: setns(2) was refused', {
    details: 'the plugin needs CAP_SYS_ADMIN in the host and over the container (run it as root)',
  });
}

/** The cookie of the network namespace that this thread is in, as decimal text; '' where the kernel has none. */
export function netnsCookie(): string {
  const fd = libc('socket')(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) return '';
  const value = Buffer.alloc(8);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(value.length);
  const status = libc('getsockopt')(fd, SOL_SOCKET, SO_NETNS_COOKIE, value, length);
  closeSync(fd);
  return status === 0 ? value.readBigUInt64LE().toString() : '';
}

/** Sends one empty datagram to UDP port `port` of `address` (4 or 16 bytes), which makes the kernel ask who has it. */
export function sendDatagram(family: Family, address: Buffer, port: number): void {
  const fd = libc('socket')(AF_INET[family], SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) return;
  // sockaddr_in: family, port, address, 8 bytes of padding; sockaddr_in6: family, port, flow label, address, scope.
  const sockaddr = Buffer.alloc(family === 4 ? 16 : 28);
  sockaddr.writeUInt16LE(AF_INET[family], 0);
  sockaddr.writeUInt16BE(port, 2);
  address.copy(sockaddr, family === 4 ? 4 : 8);
  // Refused (no route, a full queue): then nobody is asked, and whoever looks afterwards finds no answer.
  libc('sendto')(fd, Buffer.alloc(1), 0n, MSG_DONTWAIT, sockaddr, sockaddr.length);
  closeSync(fd);
}

/**
 * Sets the MAC address that link `ifname` of this thread's namespace has anyway, at which the kernel tells the neighbours
 * (with arp_notify and ndisc_notify on). It does so when the link comes up, too, but then the far end may not forward yet.
 * Refused: then the neighbours find out by themselves, later.
 */
export function announceMac(ifname: string, mac: string): void {
  const request = requestFor(ifname);
  request.writeUInt16LE(ARPHRD_ETHER, 16);
  request.write(mac.replaceAll(':', ''), 18, 'hex');
  askLink(SIOCSIFHWADDR, request);
}

/** Whether link `ifname` of this thread's namespace is up and operational: then a bridge forwards what its port says. */
export function isRunning(ifname: string): boolean {
  const request = requestFor(ifname);
  return askLink(SIOCGIFFLAGS, request) && (request.readUInt16LE(16) & IFF_RUNNING) !== 0;
}

/** struct ifreq: the name in 16 bytes, then what the request is about. */
function requestFor(ifname: string): Buffer {
  const request = Buffer.alloc(40);
  request.write(ifname, 0, 15);
  return request;
}

function askLink(what: bigint, request: Buffer): boolean {
  const fd = libc('socket')(AF_INET[4], SOCK_DGRAM_CLOEXEC, 0);
  if (fd < 0) return false;
  const status = libc('ioctl')(fd, what, request);
  closeSync(fd);
  return status === 0;
}
