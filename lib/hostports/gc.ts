/**
 * GC: takes away what attachments of this network that the runtime does not list have forwarded, in iptables whoever made
 * the rules. Other networks and attachments whose ADD runs stay. Goes on past single failures and reports them all.
 */
import {
  isPortAddRunning,
  readAllRecords,
  removeDrafts,
  removeOwnRecords,
  removeRecord,
} from '../attachment/port-record-store.ts';
import { localnetUsers, readRegistry } from '../attachment/port-registry.ts';
import { combineErrors } from '../cni/errors.ts';
import type { Call, Host } from '../cni/plugin.ts';
import { validAttachments } from '../cni/valid-attachments.ts';
import { BACKENDS, type BackendName } from '../firewall/backend.ts';
import { settleLocalnet } from '../firewall/localnet.ts';
import { applyNat, type NatTable, saveIfSupported } from '../iptables/nat.ts';
import { removeChains } from '../iptables/nat-lines.ts';
import type { Family } from '../net/ip.ts';
import { backends } from './backends.ts';
import { FAMILIES, type Forwarding } from './forwarding.ts';
import { type DeadContainer, findGarbage, flowsThrough } from './gc-plan.ts';
import { answeredFlows, forgetUdpFlows } from './release.ts';

type Tables = ReadonlyMap<Family, NatTable>;

/** Throws code 7 before anything is touched when the list of valid attachments is missing. */
export async function collect({ config, host }: Call): Promise<void> {
  const valid = validAttachments(config);
  const errors: unknown[] = [];
  const localnet = localnetUsers(readRegistry());
  // Tables first: an ADD writes its record before its rules, so whoever's rules are seen here has a record by then.
  const tables = readTables(errors);
  const garbage = findGarbage({ network: config.name, valid, records: readAllRecords(), tables });
  const containers = garbage.containers.filter((container) => !isPortAddRunning(container));
  const recorded = garbage.recorded.filter((record) => !isPortAddRunning(record));
  for (const name of BACKENDS) {
    await host.checkpoint();
    const own = recorded.filter(({ backend }) => backend === name);
    for (const record of await removeAllRecorded(name, own, errors)) attempt(errors, () => forgetRecord(record, host));
  }
  const isComplete = errors.length === 0;
  const released = removeAllChains(containers, tables, errors);
  forgetUdpFlows(flowsOf(released, tables), host);
  if (isComplete) for (const container of released) attempt(errors, () => forget(container, host));
  attempt(errors, removeDrafts);
  await settleLocalnet(localnet, host).catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw combineErrors(errors);
}

/** All at once; when that is refused, one by one. Returns those that have no rules any more. */
async function removeAllRecorded(
  name: BackendName,
  records: readonly Forwarding[],
  errors: unknown[],
): Promise<readonly Forwarding[]> {
  const remove = async (some: readonly Forwarding[]) => {
    await backends[name].remove(some);
    return some;
  };
  if (records.length === 0) return records;
  try {
    return await remove(records);
  } catch {
    // Each says for itself what is the matter with it.
    const ends = await Promise.allSettled(records.map((record) => remove([record])));
    errors.push(...ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : [])));
    return ends.flatMap((end) => (end.status === 'fulfilled' ? end.value : []));
  }
}

function forgetRecord(record: Forwarding, host: Host): void {
  forgetUdpFlows(answeredFlows(record), host);
  removeRecord(record);
  host.warn(`portmap: released the ports of "${record.containerId}" on ${record.ifname}: no valid attachment`);
}

/** A family that this host cannot have is left out; one that cannot be read may hold rules, so no record is removed. */
function readTables(errors: unknown[]): Tables {
  const tables = new Map<Family, NatTable>();
  for (const family of FAMILIES) {
    attempt(errors, () => {
      const table = saveIfSupported(family);
      if (table !== undefined) tables.set(family, table);
    });
  }
  return tables;
}

/** One transaction per family; when it is refused, one for each container. Returns those that have no rules any more. */
function removeAllChains(containers: readonly DeadContainer[], tables: Tables, errors: unknown[]): DeadContainer[] {
  const failed = new Set<DeadContainer>();
  for (const [family, table] of tables) {
    if (attempt([], () => removeChainsOf(containers, family, table))) continue;
    for (const container of containers) {
      if (!attempt(errors, () => removeChainsOf([container], family, table))) failed.add(container);
    }
  }
  return containers.filter((container) => !failed.has(container));
}

function removeChainsOf(containers: readonly DeadContainer[], family: Family, seen: NatTable): void {
  const chains = [...new Set(containers.flatMap((container) => container.chains))];
  const plan = (table: NatTable) =>
    removeChains(
      chains.filter((chain) => table.has(chain)),
      table,
    );
  applyNat(family, (table) => plan(table ?? seen), seen);
}

function flowsOf(containers: readonly DeadContainer[], tables: Tables) {
  const chains = containers.flatMap((container) => container.chains);
  return [...tables].flatMap(([family, table]) => flowsThrough(chains, table, family));
}

function forget(container: DeadContainer, host: Host): void {
  removeOwnRecords(container);
  host.warn(`portmap: released the ports of "${container.containerId}": no valid attachment of "${container.network}"`);
}

function attempt(errors: unknown[], action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    errors.push(error);
    return false;
  }
}
