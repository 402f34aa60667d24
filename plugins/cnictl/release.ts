/** `cnictl release`: an operator's order to free what a container holds on a network, whatever is known of its life. */
import { type AttachmentRow, releaseAttachment } from '../../lib/attachment/collect.ts';
import { readAllRecords } from '../../lib/attachment/port-record-store.ts';
import { CniError, code, combineErrors } from '../../lib/cni/errors.ts';
import { encode } from '../../lib/cni/json.ts';
import { requireContainerId, requireIfname } from '../../lib/cni/names.ts';
import { type CacheEntry, forgetEntry, listCache } from '../../lib/libcni/cache-list.ts';
import type { Answer, Invocation } from './command.ts';
import { type Entry, makeEntries, sortEntries } from './entry.ts';
import { findPlaces } from './places.ts';
import { portText } from './render.ts';
import { printable } from './table.ts';

export async function release(invocation: Invocation): Promise<Answer> {
  const [network = '', containerId = ''] = invocation.positionals;
  const { ifname } = invocation.options;
  requireContainerId(containerId);
  if (ifname !== undefined) requireIfname(ifname);
  const places = findPlaces(network, invocation);
  const ports = readAllRecords();
  const rows: AttachmentRow[] = [];
  const errors: unknown[] = [];
  for (const place of places) {
    const done = await releaseAttachment({
      ...place,
      containerId,
      ...(ifname === undefined ? {} : { ifname }),
      host: invocation.runtime.host,
      why: 'released by an operator',
    });
    rows.push(...done.freed);
    errors.push(...done.errors);
  }
  // What could not be freed may need it for a proper DEL.
  const results = errors.length > 0 ? [] : forgetResults(network, invocation);
  if (rows.length + results.length + errors.length === 0) throw unknownTo(network, invocation);
  return answer(sortEntries(makeEntries(rows, ports)), results, errors);
}

function forgetResults(network: string, { positionals, options, runtime }: Invocation): CacheEntry[] {
  const own = listCache(runtime.cacheDir, network).filter(
    ({ containerId, ifname }) =>
      containerId === positionals[1] && (options.ifname === undefined || options.ifname === ifname),
  );
  for (const entry of own) forgetEntry(entry);
  return own;
}

function unknownTo(network: string, { positionals, options }: Invocation): CniError {
  const where = options.ifname === undefined ? '' : `${options.ifname} of `;
  return new CniError(
    code.unknownContainer,
    `nothing is known of ${where}container "${positionals[1]}" on network "${network}"`,
    { details: `cnictl leases ${network} lists what there is; the container ID has to be whole` },
  );
}

function answer(released: readonly Entry[], results: readonly CacheEntry[], errors: readonly unknown[]): Answer {
  const shown = released.map(({ addresses, network, containerId, pod, ifname, hostPorts }) => ({
    addresses,
    network,
    containerId,
    ...(pod === undefined ? {} : { pod }),
    ifname,
    hostPorts,
  }));
  const paths = results.map(({ path }) => path);
  return {
    json: encode({ released: shown, cachedResults: paths }),
    text: [...released.map(lineOf), ...paths.map((path) => `released cached result ${printable(path)}`)].join('\n'),
    ...(errors.length === 0 ? {} : { failure: combineErrors(errors) }),
  };
}

function lineOf({ addresses, containerId, pod, ifname, hostPorts }: Entry): string {
  const what = [...addresses, ...hostPorts.map((port) => `host port ${portText(port)}`)].join(', ');
  const inPod = pod === undefined ? '' : ` (pod ${pod.namespace}/${pod.name})`;
  return printable(`released ${what === '' ? 'the record' : what} of ${containerId} ${ifname}`.trimEnd() + inPod);
}
