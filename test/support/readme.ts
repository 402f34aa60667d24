/** What README has from elsewhere, between marks; `make readme` writes it, and the plots that it shows. */

import { readFileSync, writeFileSync } from 'node:fs';
import { readResults, writePlots } from '../bench/results.ts';
import { repository } from './plugins.ts';
import { renderDifferences } from './readme-differences.ts';
import { renderMeasured } from './readme-measured.ts';

const readmePath = `${repository}/README.md`;

const parts: Readonly<Record<string, () => string>> = {
  differences: renderDifferences,
  measured: () => renderMeasured(readResults()),
};

export function readReadme(): string {
  return readFileSync(readmePath, 'utf8');
}

/** `readme` with these parts as they have to be. Throws when it has no place for one. */
export function filled(readme: string): string {
  return Object.entries(parts).reduce((text, [name, render]) => {
    const between = new RegExp(`(?<=^<!-- ${name} -->\\n\\n).*?(?=\\n<!-- /${name} -->$)`, 'ms');
    if (!between.test(text)) throw new Error(`README.md has no "<!-- ${name} -->" … "<!-- /${name} -->"`);
    return text.replace(between, () => `${render().trimEnd()}\n`);
  }, readme);
}

if (process.argv.includes('--write')) {
  writeFileSync(readmePath, filled(readReadme()));
  writePlots();
}
