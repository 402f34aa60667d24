/** Which address for whom: pure decisions over ranges, requests and leases. ./add.ts carries them out. */
import { CniError, code } from '../../lib/cni/errors.ts';
import { type Ip, makeIp, parseIp } from '../../lib/net/ip.ts';
import { formatSet, type Range, type RangeSet, rangeFor } from './ranges.ts';
import { RefusedError } from './refusal.ts';

/** An address that a set may give, with the range it lies in. */
export interface Candidate {
  readonly ip: Ip;
  readonly range: Range;
}

/** What one range set has to give. */
export interface Allocation {
  /** Of the range set. */
  readonly index: number;
  readonly set: RangeSet;
  /** The address asked for; `undefined` when any will do. */
  readonly requested: Candidate | undefined;
}

export interface Wishes {
  readonly sets: readonly RangeSet[];
  readonly requested: readonly Ip[];
  readonly containerId: string;
  /** Names of the lease files that this attachment has already. */
  readonly leases: readonly string[];
}

/**
 * One allocation per set, requests dealt out in their order. Throws before anything is reserved: code 101 when the
 * attachment has an address in one of the sets or asks for a gateway, 7 when a request lies in none of them.
 */
export function planAllocations(wishes: Wishes): Allocation[] {
  const left = [...wishes.requested];
  const plan = wishes.sets.map((set, index): Allocation => {
    const allocation = { index, set, requested: takeRequested(left, set) };
    refuseDuplicate(wishes, allocation);
    refuseGateway(allocation);
    return allocation;
  });
  if (left.length === 0) return plan;
  throw new CniError(
    code.invalidConfig,
    `failed to allocate all requested IPs: ${left.map(({ text }) => text).join(' ')}`,
    {
      details: `each range set gives one address: ${wishes.sets.map(formatSet).join('; ')}`,
    },
  );
}

/** The first of `left` that lies in `set`, removed from `left`. */
function takeRequested(left: Ip[], set: RangeSet): Candidate | undefined {
  for (const [index, ip] of left.entries()) {
    const range = rangeFor(set, ip);
    if (range === undefined) continue;
    left.splice(index, 1);
    return { ip, range };
  }
  return undefined;
}

/** `message` as the error of range set `index`, prefixed as the reference's. */
function allocationError(errorCode: number, index: number, error: { message: string; details: string }): CniError {
  return new CniError(errorCode, `failed to allocate for range ${index}: ${error.message}`, { details: error.details });
}

function refuseDuplicate({ leases, containerId }: Wishes, { index, set }: Allocation): void {
  const found = leases.find((name) => {
    const ip = parseIp(name);
    return ip !== undefined && rangeFor(set, ip) !== undefined;
  });
  if (found === undefined) return;
  const message = `${found} has been allocated to ${containerId}, duplicate allocation is not allowed`;
  throw new RefusedError(index, { kind: 'held', names: leases }, { code: code.conflict, message });
}

function refuseGateway({ index, requested }: Allocation): void {
  if (requested === undefined || requested.range.gateway.value !== requested.ip.value) return;
  throw allocationError(code.conflict, index, {
    message: `requested ip ${requested.ip.text} is subnet's gateway`,
    details: 'ask for another address, or configure another "gateway"',
  });
}

export interface Memory {
  /** What the set gave last. */
  readonly last?: Ip | undefined;
  /** What the attachment had before: it gets that again where it can. */
  readonly former?: readonly string[];
}

/**
 * The addresses that an allocation may try: the one asked for, or the former one and then all of the set but its
 * gateways, from the one after `last` round to `last` itself (from the first where `last` is not of the set). Can be
 * walked again.
 */
export function candidates({ set, requested }: Allocation, { last, former = [] }: Memory): Iterable<Candidate> {
  if (requested !== undefined) return [requested];
  const again = former.flatMap((text) => candidateOf(set, text) ?? []);
  return {
    *[Symbol.iterator]() {
      yield* again;
      yield* walk(turns(set, last));
    },
  };
}

function candidateOf(set: RangeSet, text: string): Candidate | undefined {
  const ip = parseIp(text);
  const range = ip === undefined ? undefined : rangeFor(set, ip);
  return ip === undefined || range === undefined || range.gateway.value === ip.value ? undefined : { ip, range };
}

interface Turn {
  readonly range: Range;
  readonly from: bigint;
  readonly to: bigint;
}

/** The set's ranges in walking order; the one that `last` is in comes twice, with its rest first and its start last. */
function turns(set: RangeSet, last: Ip | undefined): Turn[] {
  const whole = set.map((range): Turn => ({ range, from: range.start.value, to: range.end.value }));
  const range = last === undefined ? undefined : rangeFor(set, last);
  if (last === undefined || range === undefined) return whole;
  const at = set.indexOf(range);
  return [
    { range, from: last.value + 1n, to: range.end.value },
    ...whole.slice(at + 1),
    ...whole.slice(0, at),
    { range, from: range.start.value, to: last.value },
  ];
}

function* walk(order: readonly Turn[]): Generator<Candidate, undefined> {
  for (const { range, from, to } of order) {
    for (let value = from; value <= to; value++) {
      if (value !== range.gateway.value) yield { ip: makeIp(range.subnet.ip.family, value), range };
    }
  }
}
