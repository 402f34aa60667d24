/** The table of ./sets.ts: read with its elements, and changed without a look where that goes well. */
import { isObject } from '../cni/json.ts';
import { ToolError } from '../exec.ts';
import { applyNft, applyNftBeside, isAbsent, listText, type NftListing, objectsIn, parseListing } from './nft.ts';
import { SETS_TABLE } from './sets.ts';
import { planSets, type SetsChange } from './sets-plan.ts';
import type { NftElement, NftTransaction } from './transaction.ts';

export interface ElementListing extends NftListing {
  /** Of all sets and maps. */
  readonly elements: readonly NftElement[];
}

/** All of it; nothing when it is not there. Throws ToolError. */
export function listSets(): ElementListing {
  const text = listText(SETS_TABLE);
  return { ...parseListing(text), elements: parseElements(text) };
}

/** Pure: libnftables-json(5). */
export function parseElements(text: string): NftElement[] {
  return objectsIn(text).flatMap(({ set, map }) =>
    [set, map].flatMap((one) =>
      isObject(one) && Array.isArray(one.elem)
        ? one.elem.map((element) => parseElement(String(one.name), element))
        : [],
    ),
  );
}

/** In a map each comes with what it leads to. */
function parseElement(set: string, element: unknown): NftElement {
  const [left, data] = Array.isArray(element) ? element : [element, ''];
  const outer = isObject(left) && isObject(left.elem) ? left.elem : { val: left };
  return { set, key: textOf(outer.val), data: textOf(data), comment: 'comment' in outer ? String(outer.comment) : '' };
}

/** As `nft list` prints it. */
function textOf(value: unknown): string {
  if (!isObject(value)) return String(value);
  if (Array.isArray(value.concat)) return value.concat.map(textOf).join(' . ');
  if (Array.isArray(value.range)) return value.range.join('-');
  return isObject(value.prefix) ? `${value.prefix.addr}/${value.prefix.len}` : JSON.stringify(value);
}

/** What to change: at first without a look at what the table holds, `undefined` where that cannot be said so. */
export type SetsPlan = (listing: ElementListing | undefined) => SetsChange | undefined;

/** Changes the table, and looks at it only when it has to or was refused. Throws ToolError. */
export function changeSets(plan: SetsPlan, look = listSets): void {
  applyNft((attempt) => transactions(plan, attempt, look), { isOutdated });
}

/** The same beside what this process does meanwhile. */
export function changeSetsBeside(plan: SetsPlan): Promise<void> {
  return applyNftBeside((attempt) => transactions(plan, attempt, listSets), { isOutdated });
}

function transactions(plan: SetsPlan, attempt: number, look: typeof listSets): NftTransaction[] {
  const guess = attempt === 1 ? plan(undefined) : undefined;
  if (guess !== undefined) return planSets(guess);
  const listing = look();
  return planSets(plan(listing) ?? {}, listing);
}

/** Somebody took away what the plan names, or it is there already (EEXIST). */
function isOutdated(error: unknown): boolean {
  if (isAbsent(error)) return true;
  return error instanceof ToolError && error.exitCode !== undefined && error.stderr.includes('File exists');
}

/** Both in one transaction. */
export function together(one: SetsPlan, other: SetsPlan): SetsPlan {
  return (listing) => {
    const [first, second] = [one(listing), other(listing)];
    if (first === undefined || second === undefined) return undefined;
    return {
      gone: [...(first.gone ?? []), ...(second.gone ?? [])],
      added: [...(first.added ?? []), ...(second.added ?? [])],
      guard: first.guard ?? second.guard,
    };
  };
}
