/** `cnictl leases`: who holds which address, and whether they live. Changes nothing. */
import { type AttachmentRow, listAttachments } from '../../lib/attachment/collect.ts';
import { readAllRecords } from '../../lib/attachment/port-record-store.ts';
import { DEFAULT_DATA_DIR } from '../../lib/attachment/store.ts';
import { encode } from '../../lib/cni/json.ts';
import type { Answer, Invocation } from './command.ts';
import { makeEntries, sortEntries } from './entry.ts';
import { allPlaces, dataDirOf, findPlaces, type Place } from './places.ts';
import { renderTable } from './table.ts';

export async function listLeases(invocation: Invocation): Promise<Answer> {
  const [network] = invocation.positionals;
  const { warn } = invocation.runtime.host;
  const rows =
    network === undefined
      ? listAll(invocation)
      : findPlaces(network, invocation).flatMap((place) => listAttachments({ ...place, warn }));
  const entries = sortEntries(makeEntries(rows, readAllRecords()));
  const none = network === undefined ? 'no leases' : `network ${network} has no leases`;
  return { json: encode({ leases: entries }), text: entries.length === 0 ? none : renderTable(entries) };
}

/** Every network in every folder that a configuration names, and in the default one. */
function listAll(invocation: Invocation): AttachmentRow[] {
  const dataDir = dataDirOf(invocation);
  const places = allPlaces(invocation);
  const folders = dataDir === undefined ? [DEFAULT_DATA_DIR, ...places.map((place) => place.dataDir)] : [dataDir];
  return [...new Set(folders)].flatMap((folder) => listFolder(folder, places, invocation));
}

/** A network whose configuration says how old the dead have to be is judged by that. */
function listFolder(dataDir: string, places: readonly Place[], { runtime }: Invocation): AttachmentRow[] {
  const { warn } = runtime.host;
  const special = places.filter((place) => place.dataDir === dataDir && place.minAgeMs !== undefined);
  const names = new Set(special.map(({ network }) => network));
  const others = listAttachments({ dataDir, warn }).filter(({ network }) => !names.has(network));
  return [...others, ...special.flatMap((place) => listAttachments({ ...place, warn }))];
}
