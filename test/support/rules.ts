/** Taking rules away behind everybody's back. */

import { savedRules } from './dump.ts';
import type { Family } from './networks.ts';
import type { Namespace } from './world.ts';

export interface Doomed {
  readonly family: Family;
  /** Of the lines that iptables-save prints. */
  readonly pattern: RegExp;
  /** `nat` when absent. */
  readonly table?: string;
}

/** Deletes the rules whose text matches; there has to be one. */
export async function deleteRules(namespace: Namespace, { family, pattern, table = 'nat' }: Doomed): Promise<void> {
  const tool = family === 4 ? 'iptables' : 'ip6tables';
  const text = await namespace.run(`${tool}-save`, '-t', table);
  const found = text.split('\n').filter((line) => pattern.test(line));
  if (found.length === 0) throw new Error(`no rule ${pattern} in\n${(await savedRules(namespace)).join('\n')}`);
  const input = [`*${table}`, ...found.map((rule) => rule.replace('-A', '-D')), 'COMMIT', ''].join('\n');
  await namespace.run('bash', '-c', `${tool}-restore --noflush <<'END'\n${input}END`);
}
