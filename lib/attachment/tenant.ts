/** Whose interface in a container it is, when the one who asks knows nothing: a path may lead to another pod by now. */
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { hasErrno } from '../cni/errors.ts';
import { isRecordName, readRecord } from './record.ts';
import { type Owner, type Store, storeAt } from './store.ts';

export interface Interface extends Owner {
  /** Cookie of the namespace that it is in. */
  readonly containerNetns: string;
}

/** True when a record, of any network of the folder, says that another container has the interface. Reads all records. */
export function isAnothers(store: Store, one: Interface): boolean {
  if (one.containerNetns === '') return false;
  return list(dirname(store.drafts)).some((network) => {
    const other = storeAt({ dataDir: store.dataDir, network }, store.warn);
    return list(other.drafts)
      .filter(isRecordName)
      .some((name) => isTenant(other, name, one));
  });
}

function isTenant(store: Store, name: string, one: Interface): boolean {
  const read = readRecord(store, name);
  if (typeof read === 'string') return false;
  const { containerId, ifname, containerNetns } = read.record;
  return containerNetns === one.containerNetns && ifname === one.ifname && containerId !== one.containerId;
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
