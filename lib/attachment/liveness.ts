/**
 * Who is dead. A leak is a nuisance, a stolen address an outage: whatever cannot be shown dead is not. Why these proofs:
 * a boot ends everything that ran; the kernel releases a lock with its holder; a veth pair goes with the namespace of
 * either end, and only a renamed or moved one hides; a namespace's cookie is never given again in a boot, while its
 * inode number and its path are, at once. File times prove nothing: boards have no clock, and clocks are set.
 */

import type { VisibleNamespaces } from './namespaces.ts';
import type { AttachmentRecord, RecordLock } from './record.ts';
import type { CachedSandbox } from './result-cache.ts';
import type { Owner } from './store.ts';
import type { Traces } from './traces.ts';

export type Verdict = 'alive' | 'dead' | 'unknown';

export interface Judgement {
  readonly verdict: Verdict;
  /** Half a sentence that says by what it is known. */
  readonly why: string;
}

/** What a judge may look at, each thing at most once. */
export interface ObservedHost {
  readonly bootId: string;
  readonly machineId: string;
  /** Cookie of the namespace that this process is in; '' where the kernel has none. */
  readonly hostNetns: string;
  /** Whether the records lie on a file system of this machine alone. */
  readonly isLocal: boolean;
  readonly sinceBootMs: number;
  readonly bootTimeMs: number;
  readonly minAgeMs: number;
  /** Names and MAC addresses of all links of this namespace; `undefined` when they cannot be listed. */
  links(): { readonly names: ReadonlySet<string>; readonly macs: ReadonlySet<string> } | undefined;
  /** Cookie of the namespace that the path leads to; '' for none, `undefined` when that cannot be told. */
  cookieAt(path: string): string | undefined;
  /** `undefined` where /proc does not show everything. */
  namespaces(): VisibleNamespaces | undefined;
}

export interface Observed extends ObservedHost {
  cachedSandbox(owner: Owner): CachedSandbox;
}

/** Judges by a record. `holdsLease` is false when it names leases and none of them is there any more. Pure. */
export function judgeRecord(
  record: AttachmentRecord,
  observed: Observed,
  { lock, holdsLease }: { readonly lock: RecordLock; readonly holdsLease: boolean },
): Judgement {
  const judged = judgeOrigin(record, observed, lock);
  if (judged !== undefined) return judged;
  return record.plugin === 'bridge' ? judgePair(record, observed) : judgeNamespace(record, observed, holdsLease);
}

/** Whose traces, and whether the ADD that left them has ended well. */
type Attachment = Traces & Pick<AttachmentRecord, 'state'>;

/** Judges by what is known of whoever holds a port of this host, whichever plugin made its interface. Pure. */
export function judgePortHolder(holder: Attachment, observed: ObservedHost, lock: RecordLock): Judgement {
  const judged = judgeOrigin(holder, observed, lock);
  if (judged !== undefined) return judged;
  return holder.hostLink === undefined ? judgeNamespace(holder, observed, true) : judgePair(holder, observed);
}

/** `undefined` for a finished ADD of this boot in this namespace: then what it made has to be looked at. */
function judgeOrigin(made: Attachment, observed: ObservedHost, lock: RecordLock): Judgement | undefined {
  if (made.state === 'adding' && lock !== 'free') return alive('its ADD is at work');
  if (made.bootId === '' || observed.bootId === '') return unknown('which boot it is of cannot be told');
  if (made.bootId !== observed.bootId) return judgeBoot(made, observed);
  if (made.hostNetns === '' || observed.hostNetns === '') return unknown('this kernel has no namespace cookies');
  if (made.hostNetns !== observed.hostNetns) return unknown('it was attached in another network namespace than this');
  return made.state === 'adding' ? dead('its ADD ended without finishing, by a kill or a crash') : undefined;
}

function judgeBoot({ machineId }: Traces, observed: ObservedHost): Judgement {
  if (machineId !== '' && machineId === observed.machineId) return dead('it is of an earlier boot of this machine');
  if (observed.isLocal) return dead('it is of an earlier boot, on a file system of this machine');
  return unknown('it is of another boot, on a file system that other machines may share');
}

/** Ours by bridge: the pair tells. */
function judgePair(record: Traces, observed: ObservedHost): Judgement {
  const { hostLink, netnsPath } = record;
  const links = observed.links();
  if (hostLink === undefined || links === undefined) return unknown('its link cannot be looked for');
  if (links.names.has(hostLink.name)) return alive(`its link ${hostLink.name} is there`);
  if (links.macs.has(hostLink.mac)) return alive(`its link ${hostLink.name} is there by another name`);
  return (
    livesAt(record, observed) ??
    (isReferredTo(record, observed.namespaces())
      ? unknown('its link is gone, but something still refers to its namespace')
      : dead(`its link ${hostLink.name} is gone and ${netnsPath} no longer leads to its namespace`))
  );
}

/** Another plugin's: nothing of it is ours to know but the namespace. */
function judgeNamespace(record: Traces, observed: ObservedHost, holdsLease: boolean): Judgement {
  if (!holdsLease) return dead('its lease was released without us');
  const found = livesAt(record, observed);
  if (found !== undefined) return found;
  const ageMs = observed.sinceBootMs - record.bootMs;
  if (!(ageMs >= observed.minAgeMs)) return unknown(`its namespace is not at its path, but it is too young to tell`);
  const visible = observed.namespaces();
  if (visible === undefined) return unknown('this /proc does not show all processes');
  if (isReferredTo(record, visible)) return alive('a process, descriptor or mount still refers to its namespace');
  return dead(`${record.netnsPath} no longer leads to its namespace, and nothing refers to that any more`);
}

/** `undefined` when the path is known to lead elsewhere or nowhere. */
function livesAt({ containerNetns, netnsPath }: Traces, observed: ObservedHost): Judgement | undefined {
  if (containerNetns === '') return unknown('its namespace was not recorded');
  const cookie = observed.cookieAt(netnsPath);
  if (cookie === undefined) return unknown(`where ${netnsPath} leads cannot be told`);
  return cookie === containerNetns ? alive(`${netnsPath} leads to its namespace`) : undefined;
}

function isReferredTo({ containerNetns }: Traces, visible: VisibleNamespaces | undefined): boolean {
  return visible?.cookies.has(containerNetns) === true;
}

/** What is known of a lease that has no record. */
export interface ForeignLease extends Owner {
  readonly address: string;
  readonly mtimeMs: number;
}

/** Judges a lease of the reference's, all but whether the address answers on the wire, which is asked last. Pure. */
export function judgeLease(lease: ForeignLease, observed: Observed): Judgement {
  if (!observed.isLocal) return unknown('no record of ours, on a file system that other machines may share');
  if (!(lease.mtimeMs < observed.bootTimeMs)) return unknown('no record of ours, and written in this boot');
  const cached = observed.cachedSandbox(lease);
  if (cached === 'alive') return alive('the sandbox in the result cache is there');
  if (cached === 'unknown') return unknown('its entry in the result cache cannot be read');
  const visible = observed.namespaces();
  if (visible === undefined) return unknown('this /proc does not show all processes');
  if (visible.addresses.has(lease.address)) return alive('a namespace of this host has its address');
  return dead(
    'it was written before this boot, no sandbox of it is cached, no namespace has its address, nobody answers',
  );
}

function alive(why: string): Judgement {
  return { verdict: 'alive', why };
}

function dead(why: string): Judgement {
  return { verdict: 'dead', why };
}

function unknown(why: string): Judgement {
  return { verdict: 'unknown', why };
}
