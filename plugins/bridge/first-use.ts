/**
 * The first time in a boot that a network uses a bridge, this host is looked over once for what would keep its containers
 * from working; each thing found is one line of the log with its fix. Later ADDs pay one stat(2).
 */
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { RUN_FOLDER } from '../../lib/attachment/run-folder.ts';
import { CniError, code, hasErrno } from '../../lib/cni/errors.ts';
import type { Call } from '../../lib/cni/plugin.ts';
import { sha256Hex } from '../../lib/hash.ts';
import { bootId } from '../../lib/linux/boot.ts';
import { ownCookie } from '../../lib/linux/netns.ts';
import { type Cidr, formatCidr } from '../../lib/net/ip.ts';
import type { Addressing } from './addressing.ts';
import { type Asked, familiesOf, findHarm } from './preflight.ts';
import { lookOver } from './preflight-look.ts';
import type { BridgeConfig } from './schema.ts';

export interface Using {
  readonly addresses: Addressing['addresses'];
  readonly gateways: readonly Cidr[];
}

/** Throws code 101 for an overlap, where the configuration says so; it then looks again next time. */
export function warnAtFirstUse(call: Call, config: BridgeConfig, { addresses, gateways }: Using): void {
  const { bridge, ipMasq } = config;
  const forwarded = addresses
    .map(({ cidr }) => cidr)
    .filter(({ ip }) => gateways.length > 0 || ipMasq.includes(ip.family));
  if (forwarded.length === 0) return;
  const stamp = stampPath(call, config, gateways);
  if (existsSync(stamp)) return;
  const asked: Asked = { network: call.config.name, bridge, families: familiesOf(forwarded), gateways };
  const { overlaps, warnings } = findHarm(asked, lookOver(asked));
  const [overlap] = overlaps;
  if (overlap !== undefined && config.overlap === 'fail') throw overlapping(overlap);
  if (!leaveStamp(stamp)) return;
  for (const warning of [...overlaps, ...warnings]) call.host.warn(`bridge ${bridge}: ${warning}`);
}

function overlapping(overlap: string): CniError {
  return new CniError(code.conflict, `cannot use the network: ${overlap}`, {
    details: 'choose another subnet; with "overlap": "warn" it is used all the same',
  });
}

/** Another one for whatever the answer depends on, and for every boot, should /run outlive it. */
function stampPath({ config: { name } }: Call, { bridge, overlap }: BridgeConfig, gateways: readonly Cidr[]): string {
  const parts = [bootId(), ownCookie(), name, bridge, overlap, ...gateways.map(formatCidr)];
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
