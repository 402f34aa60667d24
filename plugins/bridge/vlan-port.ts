/** Puts the ports of an attachment into their VLANs, and says so plainly where the kernel has none. */
import { CniError, code } from '../../lib/cni/errors.ts';
import { ToolError } from '../../lib/exec.ts';
import { runBridgeBatch } from '../../lib/iproute2/batch.ts';
import type { BridgeConfig } from './schema.ts';
import { planGatewayVlans, planPortVlans } from './vlan.ts';

interface Gateway {
  readonly port: string | undefined;
  readonly isNew: boolean;
}

/** One batch for the pair's `port` and the gateway's. Throws. */
export function joinVlans(config: BridgeConfig, port: string, gateway: Gateway | undefined): void {
  const { vlans } = config;
  if (vlans === undefined) return;
  const { port: gatewayPort, isNew = false } = gateway ?? {};
  const commands = gatewayPort === undefined ? [] : planGatewayVlans(gatewayPort, vlans, isNew);
  try {
    runBridgeBatch([...commands, ...planPortVlans(port, vlans)]);
  } catch (error) {
    throw withoutVlanSupport(config, error);
  }
}

/** What kept a batch about VLANs from its end, in words where it is that the kernel lacks them. */
export function withoutVlanSupport({ bridge, vlans }: BridgeConfig, error: unknown): unknown {
  if (vlans === undefined || !(error instanceof ToolError) || !/not supported/i.test(error.stderr)) return error;
  return new CniError(code.toolFailed, `cannot use VLANs on bridge "${bridge}": this kernel cannot filter them`, {
    details:
      'it needs CONFIG_BRIDGE_VLAN_FILTERING: use another kernel on this node, or remove "vlan" and "vlanTrunk" from the configuration',
    cause: error,
  });
}
