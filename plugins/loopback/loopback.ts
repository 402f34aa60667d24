/** loopback: brings `lo` of the container up; containerd calls it for every pod (README.md beside this file). */
import { CniError, code } from '../../lib/cni/errors.ts';
import type { Call, Plugin } from '../../lib/cni/plugin.ts';
import { prevResult } from '../../lib/cni/prev-result.ts';
import type { Result } from '../../lib/cni/result.ts';
import { validAttachments } from '../../lib/cni/valid-attachments.ts';
import { findTool } from '../../lib/exec.ts';
import { query, runBatch } from '../../lib/iproute2/batch.ts';
import type { LinkInfo } from '../../lib/iproute2/show.ts';
import { netnsState, openNetns } from '../../lib/linux/netns.ts';
import { parseIp } from '../../lib/net/ip.ts';

/** The interface is always this one; CNI_IFNAME is ignored, as by the reference. */
const LO = 'lo';

export const loopback: Plugin = {
  name: 'loopback',

  async add(call) {
    const previous = prevResult(call.config);
    using netns = openNetns(call.netns);
    const [shown] = netns.run(() =>
      query<LinkInfo>([
        ['link', 'set', 'dev', LO, 'up'],
        ['addr', 'show', 'dev', LO],
      ]),
    );
    const result = planResult(call, shown?.[0]);
    return previous ?? result;
  },

  async check(call) {
    using netns = openNetns(call.netns);
    const [shown] = netns.run(() => query<LinkInfo>([['link', 'show', 'dev', LO]]));
    if (shown?.[0]?.flags.includes('UP') === true) return;
    throw new CniError(code.checkFailed, `loopback interface is down in ${call.netns}`, {
      details: 'expected flag UP on "lo"; run "ip link set lo up" there or add the attachment again',
    });
  },

  async del(call) {
    // The namespace takes its lo along when it goes, and a path that is no namespace (any more) leads to none.
    if (netnsState(call.netns) !== 'netns') return;
    using netns = openNetns(call.netns);
    netns.run(() => runBatch([['link', 'set', 'dev', LO, 'down']]));
  },

  async gc(call) {
    // Nothing is kept outside the namespace; but a runtime that forgets the list is told so by every plugin.
    validAttachments(call.config);
  },

  async status() {
    if (findTool('ip') !== undefined) return;
    throw new CniError(code.pluginNotAvailable, 'cannot find ip', { details: 'install the package iproute2' });
  },
};

/** The result of a loopback that stands alone: `lo` with its first address of each family. */
export function planResult(call: Pick<Call, 'netns'>, lo: LinkInfo | undefined): Result {
  const addresses = (lo?.addr_info ?? []).map(({ local, prefixlen, family }) => ({ local, prefixlen, family }));
  const foreign = addresses.find(({ local }) => !isLoopback(local));
  if (foreign !== undefined) {
    const text = `${foreign.local}/${foreign.prefixlen}`;
    throw new CniError(code.conflict, `loopback interface found with non-loopback address "${text}"`, {
      details: `remove it with "ip addr del ${text} dev lo" in ${call.netns}`,
    });
  }
  const first = (['inet', 'inet6'] as const).map((family) => addresses.find((address) => address.family === family));
  return {
    interfaces: [{ name: LO, mac: '00:00:00:00:00:00', sandbox: call.netns }],
    ips: first
      .filter((address) => address !== undefined)
      .map(({ local, prefixlen }) => ({ address: `${local}/${prefixlen}`, interface: 0 })),
    routes: [],
    dns: {},
  };
}

function isLoopback(address: string): boolean {
  const ip = parseIp(address);
  if (ip === undefined) return false;
  return ip.family === 4 ? ip.value >> 24n === 127n : ip.value === 1n;
}
