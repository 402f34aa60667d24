/**
 * The rules of one attachment: masquerade towards the outside, and the host ports that bridge takes itself. Where both are
 * in the same firewall they are one transaction.
 */
import { forAllBeside } from '../../lib/cni/errors.ts';
import type { Call, Host } from '../../lib/cni/plugin.ts';
import type { Result } from '../../lib/cni/result.ts';
import type { BackendName } from '../../lib/firewall/backend.ts';
import { forwardingFor } from '../../lib/hostports/attachment.ts';
import { type LeavingPorts, type TakenPorts, takenPorts } from './host-ports.ts';
import { type Addresses, masquerades, type Owner } from './masquerade.ts';
import type { Attachment } from './plan.ts';
import { ownerOf } from './recorded.ts';
import type { BridgeConfig } from './schema.ts';

/** Turns of the event loop until the children of rules have started, where no lock makes them wait. */
const TURNS = 2;

/** Does `action` while the tools that `rules` starts are at work. */
export function besideRules(host: Host, rules: () => Promise<void>, action: () => void): Promise<void> {
  const afterThem = async () => {
    for (let turn = 0; turn < TURNS; turn += 1) await host.checkpoint();
    action();
  };
  return forAllBeside([rules, afterThem], (run) => run());
}

export interface Ruling {
  /** Of the masquerade; '' without. */
  readonly firewall: BackendName | '';
  /** An earlier ADD may have left rules. */
  readonly isKnown: boolean;
  readonly result: Result;
}

interface AttachmentRules {
  /** Written beside what this process does meanwhile. */
  add(): Promise<void>;
  /** The way back. */
  remove(): Promise<void>;
}

/** Throws code 102 where ports are to be forwarded and there is no firewall. */
export function rulesFor(call: Call, { config, addressing }: Attachment, ruling: Ruling): AttachmentRules {
  const { firewall, isKnown, result } = ruling;
  const owner = ownerOf(call);
  const cidrs = addressing.addresses.map(({ cidr }) => cidr).filter(({ ip }) => config.ipMasq.includes(ip.family));
  const masquerade = firewall === '' || cidrs.length === 0 ? undefined : masquerades[firewall];
  const ports = portsFor(call, config, result);
  const isOne = ports?.firewall === firewall;
  return {
    add() {
      const rider = isOne ? masquerade?.adding(owner, cidrs, isKnown) : undefined;
      const alone = isOne ? undefined : masquerade?.add(owner, cidrs, isKnown);
      return forAllBeside([alone, ports?.take(rider)], async (started) => started);
    },
    remove() {
      return forAllBeside(
        [ports?.giveBack(), masquerade?.remove(owner, { only: cidrs }, config.ipMasq)],
        async (end) => end,
      );
    },
  };
}

function portsFor(call: Call, { ports: config }: BridgeConfig, result: Result): TakenPorts | undefined {
  if (config === undefined) return undefined;
  const forwarding = forwardingFor(call, config, result);
  return forwarding === undefined ? undefined : takenPorts(call, forwarding, config, result);
}

export interface Departure {
  readonly owner: Owner;
  readonly addresses: Addresses;
  /** That may hold masquerade rules. */
  readonly firewalls: readonly BackendName[];
  readonly ports: LeavingPorts | undefined;
}

/** Takes them away beside what this process does meanwhile. Does all it can before it rejects. */
export function removeRules({ ipMasq }: BridgeConfig, departure: Departure): Promise<void> {
  const { owner, addresses, firewalls, ports } = departure;
  const shared = 'only' in addresses ? firewalls.find((name) => name === ports?.firewall) : undefined;
  const likely = 'only' in addresses ? addresses.only.filter(({ ip }) => ipMasq.includes(ip.family)) : [];
  const others = 'only' in addresses ? addresses.only.filter((cidr) => !likely.includes(cidr)) : [];
  const alone = firewalls
    .filter((name) => name !== shared)
    .map((name) => masquerades[name].remove(owner, addresses, ipMasq));
  if (shared !== undefined && others.length > 0)
    alone.push(masquerades[shared].remove(owner, { only: others }, ipMasq));
  const rider = shared === undefined ? undefined : masquerades[shared].removing(owner, likely);
  return forAllBeside([ports?.remove(rider), ...alone], async (started) => started);
}
