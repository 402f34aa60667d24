/** Calls as ../../../../lib/cni/dispatch.ts hands them to a plugin, and a host that remembers what it was told. */

import type { Call, Host, Plugin } from '../../../../lib/cni/plugin.ts';
import { parseNetConf } from '../../../../lib/cni/request.ts';
import type { Result } from '../../../../lib/cni/result.ts';

export interface FakeHost extends Host {
  readonly warnings: readonly string[];
}

export function fakeHost(options: { builtins?: readonly Plugin[]; checkpoint?: () => Promise<void> } = {}): FakeHost {
  const warnings: string[] = [];
  return {
    warnings,
    warn: (message) => warnings.push(message),
    checkpoint: options.checkpoint ?? (async () => {}),
    builtins: new Map((options.builtins ?? []).map((plugin) => [plugin.name, plugin])),
  };
}

/** A call with `config` on its stdin; `name` and `cniVersion` (1.1.0) are added when missing. */
export function fakeCall(config: object = {}, over: Partial<Call> = {}): Call {
  const stdin = JSON.stringify({ cniVersion: '1.1.0', name: 'mynet', ...config });
  return {
    verb: 'ADD',
    containerId: 'c1',
    netns: '/run/netns/pod',
    ifname: 'eth0',
    args: '',
    path: ['/nowhere'],
    config: parseNetConf(stdin),
    stdin,
    env: {},
    host: fakeHost(),
    ...over,
  };
}

export const emptyResult: Result = { interfaces: [], ips: [], routes: [], dns: {} };

/** A plugin that keeps the verbs it was called with in `calls`. */
export function fakePlugin(
  over: Partial<Plugin> = {},
  result: Result = emptyResult,
): Plugin & { readonly calls: Call[] } {
  const calls: Call[] = [];
  const note = async (call: Call) => {
    calls.push(call);
  };
  return {
    calls,
    name: 'fake',
    async add(call) {
      calls.push(call);
      return result;
    },
    check: note,
    del: note,
    gc: note,
    status: note,
    ...over,
  };
}
