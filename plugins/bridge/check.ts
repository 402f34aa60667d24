/** CHECK: holds what ADD built against what is there, and names the first thing that would break traffic. */
import { CniError, code } from '../../lib/cni/errors.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import { requirePrevResult } from '../../lib/cni/prev-result.ts';
import { missingInAll } from '../../lib/firewall/missing.ts';
import { query } from '../../lib/iproute2/batch.ts';
import { type LinkInfo, type RouteInfo, showLinks, showPortVlans } from '../../lib/iproute2/show.ts';
import { openNetns } from '../../lib/linux/netns.ts';
import { readSysctl } from '../../lib/linux/sysctl.ts';
import { missingSpoofRule } from '../../lib/nft/mac-spoof.ts';
import { addressProblem, gatewayProblem, routeProblem } from './check-addresses.ts';
import { bridgeProblem, containerProblem, portProblem, spoofProblem, vlanProblem } from './check-links.ts';
import {
  containerInterface,
  type Expected,
  findPort,
  hostInterfaces,
  type Problem,
  problem,
  type Seen,
} from './check-subject.ts';
import { containerAddresses } from './container-link.ts';
import { masquerades } from './masquerade.ts';
import { FORWARDING } from './preflight.ts';
import type { BridgeConfig } from './schema.ts';

type Ruled = Pick<Expected, 'owner' | 'firewalls'>;

/** Throws code 103 naming the object, what was expected and what was found; 7 without prevResult. */
export function checkAttachment(call: Call, config: BridgeConfig, { owner, firewalls }: Ruled): void {
  const expected: Expected = {
    config,
    owner,
    firewalls,
    ifname: call.ifname,
    netns: call.netns,
    result: requirePrevResult(call.config),
  };
  const problem = findProblem(expected, observe(expected));
  if (problem === undefined) return;
  throw new CniError(code.checkFailed, problem.message, { details: problem.details });
}

function observe(expected: Expected): Seen {
  const { config, owner, firewalls, ifname, netns, result } = expected;
  using opened = openNetns(netns);
  // Routes first: their line is always there, the link's is missing with the link.
  const [routes, links] = opened.run(() =>
    query<RouteInfo | LinkInfo>(
      [
        ['route', 'show', 'table', 'all'],
        ['addr', 'show', 'dev', ifname],
      ],
      { details: true },
    ),
  );
  const hostNames = [config.bridge, ...hostInterfaces(result, config).map(({ name }) => name)];
  const masqueraded = containerAddresses(result, ifname).filter(({ ip }) => config.ipMasq.includes(ip.family));
  const hostLinks = new Map(showLinks(hostNames).map((link) => [link.ifname, link]));
  const containerLink = links?.[0] as LinkInfo | undefined;
  return {
    hostLinks,
    containerLink,
    containerRoutes: ((routes ?? []) as RouteInfo[]).flatMap(separateRoutes),
    forwarding: { 4: readSysctl(FORWARDING[4]) !== '0', 6: readSysctl(FORWARDING[6]) !== '0' },
    missingRules:
      masqueraded.length === 0
        ? []
        : missingInAll(firewalls, (backend) => masquerades[backend].missing(owner, masqueraded)),
    vlans: config.vlans === undefined ? new Map() : showPortVlans(),
    missingSpoofRule: lookForSpoofCheck(expected, findPort(expected, { hostLinks, containerLink })),
  };
}

function lookForSpoofCheck(expected: Expected, port: LinkInfo | undefined): string | undefined {
  const mac = containerInterface(expected)?.mac?.toLowerCase();
  if (!expected.config.macSpoofCheck || port === undefined || mac === undefined) return undefined;
  const { ifname, owner } = expected;
  return missingSpoofRule({ containerId: owner.containerId, ifname, port: port.ifname, mac });
}

/** One route for each next hop. */
function separateRoutes({ nexthops, ...route }: RouteInfo): RouteInfo[] {
  return nexthops === undefined ? [route] : nexthops.map((nexthop) => ({ ...route, ...nexthop }));
}

/** The first difference between what was built and what is there, `undefined` when all is well. Pure. */
export function findProblem(expected: Expected, seen: Seen): Problem | undefined {
  return (
    bridgeProblem(expected, seen) ??
    containerProblem(expected, seen) ??
    portProblem(expected, seen) ??
    vlanProblem(expected, seen) ??
    spoofProblem(expected, seen) ??
    addressProblem(expected, seen) ??
    routeProblem(expected, seen) ??
    gatewayProblem(expected, seen) ??
    masqueradeProblem(expected, seen)
  );
}

function masqueradeProblem(_: Expected, { missingRules: [missing] }: Seen): Problem | undefined {
  if (missing === undefined) return undefined;
  return problem(
    `masquerade rule missing ${missing}`,
    'somebody flushed or changed the rules: DEL and ADD the attachment',
  );
}
