/** STATUS: whether this host has what an ADD needs. Starts no child. */
import { readFileSync, statSync } from 'node:fs';
import { requirePlugin } from '../../lib/cni/delegate.ts';
import { CniError, code } from '../../lib/cni/errors.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import { findTool } from '../../lib/exec.ts';
import { expectedBackend, requireTools as requireFirewallTools } from '../../lib/firewall/choice.ts';
import type { BridgeConfig } from './schema.ts';

/** Throws code 50 naming what is missing, so that the node is not ready instead of every pod failing. */
export function requireReady(call: Call, config: BridgeConfig): void {
  requireTools(config);
  requireKernel();
  if (config.ipamType !== '') requirePlugin(config.ipamType, call.path);
}

function requireTools({ ipMasq, ipMasqBackend, vlans, macSpoofCheck }: BridgeConfig): void {
  const needed = ['ip', ...(vlans === undefined ? [] : ['bridge']), ...(macSpoofCheck ? ['nft'] : [])];
  const missing = needed.filter((tool) => findTool(tool) === undefined);
  if (missing.length > 0) {
    throw new CniError(code.pluginNotAvailable, `cannot find ${missing.join(', ')}`, {
      details: 'install the packages iproute2 and, for "macspoofchk", nftables on this node',
    });
  }
  if (ipMasq.length > 0) requireFirewallTools(expectedBackend(ipMasqBackend), { code: code.pluginNotAvailable });
}

function requireKernel(): void {
  const missing = ['bridge', 'veth'].filter((name) => !mayHaveModule(name));
  if (missing.length === 0) return;
  throw new CniError(code.pluginNotAvailable, `this kernel has no support for ${missing.join(', ')}`, {
    details: 'install its modules (linux-modules-extra on some distributions) or use another kernel',
  });
}

/** Loaded, built in, or there to be loaded. Where its modules are not to be seen, nobody can say that it lacks one. */
function mayHaveModule(name: string): boolean {
  if (statSync(`/sys/module/${name}`, { throwIfNoEntry: false }) !== undefined) return true;
  const folder = `/lib/modules/${readText('/proc/sys/kernel/osrelease').trim()}`;
  const lists = [readText(`${folder}/modules.builtin`), readText(`${folder}/modules.dep`)];
  return lists.every((text) => text === '') || lists.some((text) => text.includes(`/${name}.ko`));
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not in this mount namespace, as for a runtime in a container.
    return '';
  }
}
