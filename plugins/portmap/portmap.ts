/** portmap: forwards ports of the host to the container that the plugins before it in the chain attached. */
import { CniError, code } from '../../lib/cni/errors.ts';
import type { Call, Plugin } from '../../lib/cni/plugin.ts';
import { prevResult, requirePrevResult } from '../../lib/cni/prev-result.ts';
import type { Result } from '../../lib/cni/result.ts';
import { forwardPorts } from '../../lib/hostports/add.ts';
import { checkPorts, deletePorts, forwardingFor } from '../../lib/hostports/attachment.ts';
import { collect } from '../../lib/hostports/gc.ts';
import { isTakenByInterface, tracesOf } from '../../lib/hostports/holders.ts';
import { parsePortmapConfig } from '../../lib/hostports/schema.ts';
import { requireFirewall, requireStateFolder } from '../../lib/hostports/status.ts';

export const portmap: Plugin = {
  name: 'portmap',
  add,
  async check(call) {
    checkPorts(call, call.config.raw, requirePrevResult(call.config));
  },
  async del(call) {
    await call.host.checkpoint();
    await deletePorts(call, call.config.raw);
  },
  // Without a word on the rest of the configuration: it may have become invalid since.
  gc: collect,
  async status(call) {
    requireFirewall(parsePortmapConfig(call.config.raw).configured);
    requireStateFolder();
  },
};

async function add(call: Call): Promise<Result> {
  const result = prevResult(call.config);
  const config = parsePortmapConfig(call.config.raw);
  if (result === undefined) {
    throw new CniError(code.invalidConfig, 'must be called as chained plugin', {
      details: 'portmap forwards to the addresses of "prevResult": put it behind an interface plugin in the conflist',
    });
  }
  const forwarding = forwardingFor(call, config, result);
  if (forwarding === undefined) return result;
  const traces = tracesOf(call, result);
  if (isTakenByInterface(forwarding, traces)) {
    const what = `the host ports of ${call.containerId} ${call.ifname}`;
    call.host.warn(`portmap: bridge has taken ${what} already: this entry of the conflist does nothing and can go`);
    return result;
  }
  const letGo = await forwardPorts(forwarding, { host: call.host, policy: config.hostPortConflict, traces });
  letGo();
  return result;
}
