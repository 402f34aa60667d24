/**
 * The first time in a boot that a network uses a bridge, this host is looked over once for what would keep its containers
 * from working; each thing found is one line of the log with its fix. Later ADDs pay one stat(2).
 */
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { RUN_FOLDER } from '../../lib/attachment/run-folder.ts';
import { CniError, code, hasErrno } from '../../lib/cni/errors.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import { sha256Hex } from '../../lib/hash.ts';
import { givenAddresses, showLink } from '../../lib/iproute2/show.ts';
import { bootId } from '../../lib/linux/boot.ts';
import { ownCookie } from '../../lib/linux/netns.ts';
import { type Cidr, type Family, formatCidr } from '../../lib/net/ip.ts';
import type { Addressing } from './addressing.ts';
import { pointlessMasquerade, pointlessRoutes } from './pointless.ts';
import { type Asked, familiesOf, findHarm, type Harm } from './preflight.ts';
import { lookOver } from './preflight-look.ts';
import type { BridgeConfig } from './schema.ts';

export interface Using {
  readonly addressing: Addressing;
  readonly gateways: readonly Cidr[];
}

/** Throws code 101 for an overlap, where the configuration says so; it then looks again next time. */
export function warnAtFirstUse(call: Call, config: BridgeConfig, using: Using): void {
  const pointless = [...config.pointless, ...pointlessRoutes(using.addressing)];
  const families = forwardedFamilies(config, using);
  if (families.length === 0 && pointless.length === 0) return;
  const stamp = stampPath(call, config, [...using.gateways.map(formatCidr), ...pointless]);
  if (existsSync(stamp)) return;
  const { overlaps, warnings } = families.length === 0 ? NO_HARM : lookForHarm(call, config, { ...using, families });
  const [overlap] = overlaps;
  if (overlap !== undefined && config.overlap === 'fail') throw overlapping(overlap);
  if (!leaveStamp(stamp)) return;
  for (const warning of [...pointless, ...overlaps, ...warnings]) call.host.warn(`bridge ${config.bridge}: ${warning}`);
}

const NO_HARM: Harm = { overlaps: [], warnings: [] };

/** Those whose packets this host is to pass on as a router. */
function forwardedFamilies({ ipMasq }: BridgeConfig, { addressing, gateways }: Using): Family[] {
  const families = familiesOf(addressing.addresses.map(({ cidr }) => cidr));
  return gateways.length > 0 ? families : families.filter((family) => ipMasq.includes(family));
}

function lookForHarm(
  call: Call,
  config: BridgeConfig,
  { addressing, gateways, families }: Using & { readonly families: readonly Family[] },
): Harm {
  const { bridge } = config;
  const held = config.isGateway ? gateways : givenAddresses(showLink(bridge));
  const useless = pointlessMasquerade(config, addressing, held);
  // Then nothing of the container passes this host as a router, and whether it forwards is nobody's concern.
  if (useless.length > 0) return { overlaps: [], warnings: useless };
  const asked: Asked = { network: call.config.name, bridge, families, gateways };
  return findHarm(asked, lookOver(asked));
}

function overlapping(overlap: string): CniError {
  return new CniError(code.conflict, `cannot use the network: ${overlap}`, {
    details: 'choose another subnet; with "overlap": "warn" it is used all the same',
  });
}

/** Another one for whatever the answer depends on, and for every boot, should /run outlive it. */
function stampPath({ config: { name } }: Call, { bridge, overlap }: BridgeConfig, rest: readonly string[]): string {
  const parts = [bootId(), ownCookie(), name, bridge, overlap, ...rest];
  return `${RUN_FOLDER}/first-use-${sha256Hex(parts.join('\n')).slice(0, 40)}`;
}

/** False when another ADD left it meanwhile, and spoke. Where nothing can be written it is said every time. */
function leaveStamp(path: string): boolean {
  try {
    mkdirSync(RUN_FOLDER, { recursive: true, mode: 0o700 });
    closeSync(openSync(path, 'wx', 0o600));
    return true;
  } catch (error) {
    return !(hasErrno(error, 'EEXIST') && existsSync(path));
  }
}
