/** A store in a folder of its own, and calls of host-local without a process around them. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { posix } from 'node:path';
import { onTestFinished } from 'vitest';
import { hostLocal } from '../../../../ipam/host-local/host-local.ts';
import { storeAt } from '../../../../lib/attachment/store.ts';
import { dispatch } from '../../../../lib/cni/dispatch.ts';
import type { Call, Host, Verb } from '../../../../lib/cni/plugin.ts';
import { type Cidr, type Ip, parseCidr, parseIp } from '../../../../lib/net/ip.ts';

export function ip(text: string): Ip {
  const parsed = parseIp(text);
  if (parsed === undefined) throw new RangeError(`no address: ${text}`);
  return parsed;
}

export function cidr(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new RangeError(`no CIDR: ${text}`);
  return parsed;
}

export interface TestHost extends Host {
  readonly warnings: string[];
}

/** `checkpoint` runs at every checkpoint with the number of those before it. */
export function testHost(checkpoint: (count: number) => void = () => {}): TestHost {
  const warnings: string[] = [];
  let count = 0;
  return {
    builtins: new Map(),
    warnings,
    warn(message) {
      warnings.push(message);
    },
    async checkpoint() {
      checkpoint(count++);
    },
  };
}

/** A folder that goes with the test. */
export function temporaryFolder(parent: string = tmpdir()): string {
  const folder = mkdtempSync(posix.join(parent, 'nodecni-host-local-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function temporaryStore(host: TestHost = testHost()) {
  const dataDir = temporaryFolder();
  return { dataDir, host, store: storeAt({ dataDir, network: 'net1' }, host.warn) };
}

/** Name and content of every lease and cursor of `net1`, and of every draft, which there should be none of; no records and no index. */
export function filesOf(dataDir: string): Record<string, string> {
  const files = readdirSync(dataDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map(({ parentPath, name }) => posix.join(parentPath, name));
  const named = paths.map((path) => [posix.relative(dataDir, path), readFileSync(path, 'utf8')] as const);
  return Object.fromEntries(
    named.filter(([path]) => path !== 'net1/lock' && !/\/(folder-seen|owners|[0-9a-f]{40}\.json)$/.test(path)).sort(),
  );
}

export interface Options {
  readonly dataDir: string;
  readonly host?: Host;
  readonly containerId?: string;
  readonly ifname?: string;
  readonly args?: string;
  readonly cniVersion?: string;
  /** Keys of `ipam` beside `dataDir`; `null` leaves `ipam` out. */
  readonly ipam?: object | null;
  /** Further keys of the network configuration. */
  readonly keys?: object;
}

/** What the process would print, parsed where it is JSON; through the protocol, as a runtime calls it. */
export async function invoke(verb: Verb, options: Options) {
  const { dataDir, host = testHost(), containerId = 'c1', ifname = 'eth0', args = '', cniVersion = '1.1.0' } = options;
  const ipam = options.ipam === null ? {} : { ipam: { type: 'host-local', dataDir, ...options.ipam } };
  const config = { cniVersion, name: 'net1', type: 'bridge', ...ipam, ...options.keys };
  const env = {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: containerId,
    CNI_IFNAME: ifname,
    CNI_NETNS: '/nowhere',
    CNI_PATH: '/nowhere',
    CNI_ARGS: args,
  };
  const readStdin = () => JSON.stringify(config);
  const { stdout, exitCode } = await dispatch({ plugin: hostLocal, env, readStdin, host, isOwnNetns: () => false });
  return { stdout, exitCode, json: stdout === '' ? undefined : (JSON.parse(stdout) as Answer) };
}

export interface Answer {
  readonly code?: number;
  readonly msg?: string;
  readonly details?: string;
  readonly ips?: readonly { readonly address: string; readonly gateway?: string }[];
  readonly [key: string]: unknown;
}

/** Addresses of an ADD that has to succeed. */
export async function addresses(options: Options): Promise<string[]> {
  const { json, stdout } = await invoke('ADD', options);
  if (json?.ips === undefined) throw new Error(stdout);
  return json.ips.map(({ address }) => address);
}

export function ownerOf(containerId: string, ifname = 'eth0'): Pick<Call, 'containerId' | 'ifname'> {
  return { containerId, ifname };
}
