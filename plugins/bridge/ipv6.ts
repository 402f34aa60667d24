/** Whether an attachment has IPv6 where it needs it, on this host and by its MTU: asked before anything is built. */
import { CniError, code } from '../../lib/cni/errors.ts';
import { readSysctl } from '../../lib/linux/sysctl.ts';
import type { Addressing } from './addressing.ts';
import type { BridgeConfig } from './schema.ts';

/** `holder` is the link with the gateway addresses, `undefined` for none. Throws code 7. */
export function requireIpv6({ addresses }: Addressing, holder: string | undefined): void {
  const address = addresses.find(({ cidr }) => cidr.ip.family === 6);
  if (address === undefined) return;
  const { text } = address.cidr.ip;
  if (readSysctl('net/ipv6/conf/all/disable_ipv6') === undefined) {
    throw unusable(text, 'this host has no IPv6', 'enable it (kernel parameter ipv6.disable=0)');
  }
  if (holder === undefined) return;
  const own = readSysctl(`net/ipv6/conf/${holder}/disable_ipv6`);
  const name = own === undefined ? 'default' : holder;
  if ((own ?? readSysctl('net/ipv6/conf/default/disable_ipv6')) !== '1') return;
  throw unusable(
    text,
    `IPv6 is disabled on ${own === undefined ? 'this host' : holder}`,
    `run "sysctl -w net.ipv6.conf.${name.replaceAll('.', '/')}.disable_ipv6=0"`,
  );
}

/** RFC 8200: the kernel takes IPv6 off a link that carries less. In bytes. */
const MIN_MTU = 1280;

/** Throws code 7 for an MTU that the container's IPv6 address cannot do with. */
export function requireIpv6Mtu({ mtu = MIN_MTU }: BridgeConfig, { addresses }: Addressing): void {
  const address = addresses.find(({ cidr }) => cidr.ip.family === 6);
  if (address === undefined || mtu >= MIN_MTU) return;
  const state = `"mtu" is ${mtu}, IPv6 needs ${MIN_MTU}`;
  throw unusable(address.cidr.ip.text, state, `set "mtu" to ${MIN_MTU} or more`);
}

function unusable(address: string, state: string, fix: string): CniError {
  return new CniError(code.invalidConfig, `cannot attach a container with address ${address}: ${state}`, {
    details: `${fix}, or take the IPv6 range out of the "ipam" section`,
  });
}
