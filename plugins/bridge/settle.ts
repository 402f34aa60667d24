/** IPv6 addresses that the kernel still asks the network about (duplicate address detection, RFC 4862). */
import { readFileSync } from 'node:fs';
import { CniError, code } from '../../lib/cni/errors.ts';
import type { Netns } from '../../lib/linux/netns.ts';

/** As the reference; the kernel asks once, for a second. */
const WAIT_MS = 5000;
const PAUSE_MS = 20;

/** Of /proc/net/if_inet6 (linux/if_addr.h): somebody else has it; not known yet. */
const DADFAILED = 0x08;
const TENTATIVE = 0x40;

export interface UnsettledAddress {
  /** Without colons. */
  readonly hex: string;
  readonly isDuplicate: boolean;
}

/** Waits until every address of `ifname` may be used. Throws code 101 for one that another host has, 102. */
export async function settleAddresses(netns: Netns, ifname: string): Promise<void> {
  const deadline = process.hrtime.bigint() + BigInt(WAIT_MS) * 1_000_000n;
  for (;;) {
    const text = netns.run(() => readFileSync('/proc/thread-self/net/if_inet6', 'utf8'));
    const unsettled = parseUnsettled(text, ifname);
    const duplicate = unsettled.find(({ isDuplicate }) => isDuplicate);
    if (duplicate !== undefined) throw duplicateAddress(ifname, duplicate);
    if (unsettled.length === 0) return;
    if (process.hrtime.bigint() > deadline) throw stillTentative(ifname, unsettled);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** Pure: `fd00…02 05 40 00 40     eth0` is address, interface index, prefix, scope, flags (hexadecimal), name. */
export function parseUnsettled(text: string, ifname: string): UnsettledAddress[] {
  return text.split('\n').flatMap((line) => {
    const [hex = '', , , , flagText = '', name] = line.trim().split(/ +/);
    const flags = Number.parseInt(flagText, 16);
    if (name !== ifname || (flags & (DADFAILED | TENTATIVE)) === 0) return [];
    return [{ hex, isDuplicate: (flags & DADFAILED) !== 0 }];
  });
}

function duplicateAddress(ifname: string, address: UnsettledAddress): CniError {
  return new CniError(code.conflict, `link ${ifname} has address ${textOf(address)} in DADFAILED state`, {
    details: 'another host of this network answers for it: find it, or take the address out of the "ipam" section',
  });
}

function stillTentative(ifname: string, addresses: readonly UnsettledAddress[]): CniError {
  return new CniError(code.toolFailed, `link ${ifname} still has tentative addresses: ${addresses.map(textOf)}`, {
    details: `they were not settled within ${WAIT_MS / 1000} s; does the bridge port forward?`,
  });
}

function textOf({ hex }: UnsettledAddress): string {
  return (hex.match(/.{4}/g) ?? []).join(':');
}
