/** CHECK, the links: the bridge, the container's interface, the port between them. Pure. */
import { containerInterface, type Expected, findPort, type Problem, problem, type Seen } from './check-subject.ts';
import { gatewayName, vlanDifference } from './vlan.ts';

export function bridgeProblem({ config, result }: Expected, { hostLinks }: Seen): Problem | undefined {
  const { bridge } = config;
  const recorded = result.interfaces.find(({ name, sandbox }) => name === bridge && sandbox === undefined);
  const link = hostLinks.get(bridge);
  if (recorded === undefined)
    return problem(`Interface ${bridge} not found in prevResult`, 'was the attachment made with another "bridge"?');
  if (link === undefined)
    return problem(`bridge ${bridge} does not exist`, 'somebody deleted it: add the attachments on it again');
  if (link.linkinfo?.info_kind !== 'bridge')
    return problem(
      `Interface ${bridge} does not have link type of bridge`,
      `it is ${link.linkinfo?.info_kind ?? 'a device'}`,
    );
  if (!link.flags.includes('UP')) return problem(`bridge ${bridge} is down`, `run "ip link set ${bridge} up"`);
  if (recorded.mac !== undefined && link.address !== recorded.mac.toLowerCase()) {
    return problem(
      `Bridge interface ${bridge} Mac doesn't match: expected ${recorded.mac}, found ${link.address ?? 'none'}`,
      'containers remember the old one for a while',
    );
  }
  const promisc = link.flags.includes('PROMISC');
  if (config.promiscMode && !promisc)
    return problem(`bridge ${bridge} is not in promiscuous mode`, `run "ip link set ${bridge} promisc on"`);
  return undefined;
}

export function containerProblem(expected: Expected, { containerLink }: Seen): Problem | undefined {
  const { config, ifname, netns } = expected;
  const recorded = containerInterface(expected);
  if (recorded === undefined)
    return problem(`Interface ${ifname} not found in prevResult`, 'prevResult names no interface of this container');
  if (recorded.sandbox !== netns) {
    return problem(
      `Sandbox in prevResult ${recorded.sandbox ?? ''} doesn't match configured netns: ${netns}`,
      'CNI_NETNS is another one than at ADD',
    );
  }
  if (containerLink === undefined)
    return problem(
      `container interface ${ifname} does not exist in ${netns}`,
      'somebody deleted it: DEL and ADD the attachment',
    );
  if (containerLink.linkinfo?.info_kind !== 'veth')
    return problem(
      `container interface ${ifname} is no veth`,
      `it is ${containerLink.linkinfo?.info_kind ?? 'a device'}`,
    );
  if (!config.staysDown && !containerLink.flags.includes('UP'))
    return problem(`container interface ${ifname} is down`, `run "ip link set ${ifname} up" in ${netns}`);
  if (recorded.mac !== undefined && containerLink.address !== recorded.mac.toLowerCase()) {
    return problem(
      `container interface ${ifname} has MAC address ${containerLink.address ?? 'none'}, expected ${recorded.mac}`,
      'somebody changed it',
    );
  }
  return undefined;
}

/** The host's MAC address is not compared: udev may change it, and nothing depends on it. */
export function portProblem(expected: Expected, seen: Seen): Problem | undefined {
  const { config } = expected;
  const port = findPort(expected, seen);
  if (port === undefined)
    return problem(
      `CNI veth created for bridge ${config.bridge} was not found`,
      'the far end of the container interface is no link of this host that prevResult names',
    );
  const { ifname } = port;
  if (port.master !== config.bridge) {
    return problem(
      `host interface ${ifname} is not a port of bridge ${config.bridge}`,
      `its master is ${port.master ?? 'none'}; run "ip link set ${ifname} master ${config.bridge}"`,
    );
  }
  if (!config.staysDown && port.operstate !== 'UP')
    return problem(`host interface ${ifname} is ${port.operstate}`, `run "ip link set ${ifname} up"`);
  const { hairpin = false, isolated = config.portIsolation } = port.linkinfo?.info_slave_data ?? {};
  return (
    flagProblem(ifname, { flag: 'hairpin', is: hairpin, wanted: config.hairpinMode }) ??
    // Versions of ip that do not know the flag do not print it.
    flagProblem(ifname, { flag: 'isolated', is: isolated, wanted: config.portIsolation })
  );
}

interface Flag {
  readonly flag: string;
  readonly is: boolean;
  readonly wanted: boolean;
}

function flagProblem(ifname: string, { flag, is, wanted }: Flag): Problem | undefined {
  if (is === wanted) return undefined;
  return problem(
    `${flag} mode of ${ifname} is ${onOff(is)}, expected ${onOff(wanted)}`,
    `run "bridge link set dev ${ifname} ${flag} ${onOff(wanted)}"`,
  );
}

function onOff(value: boolean): string {
  return value ? 'on' : 'off';
}

/** The pair's VLANs, and those of the gateway's port. */
export function vlanProblem(expected: Expected, seen: Seen): Problem | undefined {
  const { vlans, bridge, isGateway } = expected.config;
  if (vlans === undefined) return undefined;
  const { native, trunk } = vlans;
  const of = (port: string) => seen.vlans.get(port) ?? [];
  const port = findPort(expected, seen)?.ifname ?? '';
  const difference = native === 0 && trunk.length === 0 ? undefined : vlanDifference(vlans, of(port));
  if (difference !== undefined) return wrongVlan(port, difference);
  const gatewayPort = isGateway && native !== 0 ? seen.hostLinks.get(gatewayName(bridge, native))?.link : undefined;
  if (gatewayPort === undefined) return undefined;
  const missing = vlanDifference({ native, trunk: [], keepsDefault: true }, of(gatewayPort));
  return missing === undefined ? undefined : wrongVlan(gatewayPort, missing);
}

function wrongVlan(port: string, difference: string): Problem {
  return problem(`VLANs of ${port} are not as they should be: ${difference}`, `see "bridge vlan show dev ${port}"`);
}

export function spoofProblem(_expected: Expected, { missingSpoofRule }: Seen): Problem | undefined {
  if (missingSpoofRule === undefined) return undefined;
  return problem(
    `rule against spoofed MAC addresses missing in the nftables table bridge nat: ${missingSpoofRule}`,
    'somebody flushed or changed the rules: DEL and ADD the attachment',
  );
}
