/**
 * What the plugins do not have yet and refuse: rows of the tables and of README that say `awaits` are left out until
 * their word is taken from this list.
 */

export const pending = ['node warnings', 'vlan'] as const;

export type Awaited = (typeof pending)[number];

export function isPending({ awaits }: { readonly awaits?: Awaited }): boolean {
  return awaits !== undefined && pending.includes(awaits);
}
