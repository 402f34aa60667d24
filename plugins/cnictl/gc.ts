/**
 * `cnictl gc`: frees what dead attachments of a network left, for runtimes that never call the verb GC. Who is dead is
 * shown by what this host tells (lib/attachment/liveness.ts), not by a list: whoever cannot be shown dead stays.
 */
import { type AttachmentRow, collect } from '../../lib/attachment/collect.ts';
import { visibleNamespaces } from '../../lib/attachment/namespaces.ts';
import { isLocal } from '../../lib/attachment/observe.ts';
import { readAllRecords } from '../../lib/attachment/port-record-store.ts';
import { combineErrors } from '../../lib/cni/errors.ts';
import { encode } from '../../lib/cni/json.ts';
import { folderOf } from '../../lib/libcni/cache.ts';
import { type CacheEntry, forgetEntry, listCache } from '../../lib/libcni/cache-list.ts';
import { loadNetwork } from '../../lib/libcni/conf-dir.ts';
import { netnsState } from '../../lib/linux/netns.ts';
import type { Answer, Invocation } from './command.ts';
import { type Entry, makeEntries, sortEntries } from './entry.ts';
import { dataDirOf, type Place, placesOf } from './places.ts';
import { confDirOf } from './request.ts';
import { findStale, type StaleResult } from './stale-results.ts';
import { printable, renderTable } from './table.ts';

export async function collectGarbage(invocation: Invocation): Promise<Answer> {
  const { positionals, options, env, runtime } = invocation;
  const network = loadNetwork(confDirOf(env), positionals[0] ?? '');
  if (network.disableGc) return disabled(network.name, options.dryRun);
  // Before: a result that an ADD writes from now on is another file.
  const cached = listCache(runtime.cacheDir, network.name);
  const ports = readAllRecords();
  const found = await collectAll(placesOf(network, dataDirOf(invocation)), invocation);
  const results = staleResults(cached, found, runtime.cacheDir);
  const errors = options.dryRun ? [] : [...found.errors, ...forgetAll(results)];
  const entries = (rows: readonly AttachmentRow[]) => sortEntries(makeEntries(rows, ports));
  const report = { dryRun: options.dryRun, freed: entries(found.freed), kept: entries(found.kept), results };
  return {
    json: renderJson(network.name, { ...report, isDisabled: false }),
    text: renderText(report),
    ...(errors.length === 0 ? {} : { failure: combineErrors(errors) }),
  };
}

interface Found {
  readonly freed: readonly AttachmentRow[];
  readonly kept: readonly AttachmentRow[];
  readonly errors: readonly unknown[];
}

async function collectAll(places: readonly Place[], { options, runtime }: Invocation): Promise<Found> {
  const { host } = runtime;
  const found: Found[] = [];
  for (const place of places) {
    const onProgress = (count: number) => {
      if (count > 0 && !options.dryRun) host.warn(`${place.network}: freeing ${counted(count, 'dead attachment')}`);
    };
    found.push(await collect({ ...place, dryRun: options.dryRun, host, onProgress }));
  }
  return {
    freed: found.flatMap(({ freed }) => freed),
    kept: found.flatMap(({ kept }) => kept),
    errors: found.flatMap(({ errors }) => errors),
  };
}

function staleResults(cached: readonly CacheEntry[], { freed, kept }: Found, cacheDir: string): StaleResult[] {
  let visible: { value: ReturnType<typeof visibleNamespaces> } | undefined;
  return findStale(cached, {
    freed,
    kept,
    isLocal: isLocal(folderOf(cacheDir)),
    isNamespace,
    namespaces() {
      visible ??= { value: visibleNamespaces() };
      return visible.value;
    },
  });
}

function isNamespace(path: string): boolean | undefined {
  try {
    return netnsState(path) === 'netns';
  } catch {
    // Not ours to look at.
    return undefined;
  }
}

function forgetAll(results: readonly StaleResult[]): unknown[] {
  return results.flatMap(({ entry }) => {
    try {
      forgetEntry(entry);
      return [];
    } catch (error) {
      return [error];
    }
  });
}

interface Report {
  readonly dryRun: boolean;
  readonly freed: readonly Entry[];
  readonly kept: readonly Entry[];
  readonly results: readonly StaleResult[];
}

function disabled(network: string, dryRun: boolean): Answer {
  const nothing: Report = { dryRun, freed: [], kept: [], results: [] };
  return {
    json: renderJson(network, { ...nothing, isDisabled: true }),
    text: `network ${network} has GC disabled`,
  };
}

function renderJson(
  network: string,
  { isDisabled, dryRun, freed, kept, results }: Report & { readonly isDisabled: boolean },
): string {
  const cachedResults = results.map(({ entry, why }) => ({
    containerId: entry.containerId,
    ifname: entry.ifname,
    path: entry.path,
    why,
  }));
  return encode({ network, disabled: isDisabled, dryRun, freed, cachedResults, kept });
}

/** What went was told line by line on stderr, with its proof; only a dry run has it all to say here. */
function renderText({ dryRun, freed, kept, results }: Report): string {
  const verb = dryRun ? 'would free' : 'freed';
  const what = `${counted(freed.length, 'attachment')} and ${counted(results.length, 'cached result')}`;
  const rest = (['alive', 'unknown', 'dead'] as const)
    .map((verdict) => ({ verdict, count: kept.filter((entry) => entry.verdict === verdict).length }))
    .filter(({ count }) => count > 0)
    .map(({ verdict, count }) => `${count} ${verdict}`);
  const summary = `${verb} ${what}, ${dryRun ? 'keep' : 'kept'} ${kept.length}${rest.length === 0 ? '' : ` (${rest.join(', ')})`}`;
  if (!dryRun) return summary;
  const table = freed.length === 0 ? [] : [renderTable(freed)];
  return [...table, ...results.map(({ entry, why }) => printable(`${entry.path}: ${why}`)), summary].join('\n');
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
