/** README's table of differences, made of ../interop/differences.ts. */

import { differences } from '../interop/differences.ts';
import { renderTable } from './markdown.ts';

const HEAD = ['where', 'the reference', 'nodecni'];

export function renderDifferences(): string {
  const rows = Object.values(differences).map(({ where, reference, nodecni }) => [where, reference, nodecni]);
  return renderTable([HEAD, ...rows], 'words');
}
