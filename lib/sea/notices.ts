/** THIRD-PARTY-NOTICES: the licences of everything inside or beside the executable that is not ours. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import { type Libraries, libraryNames } from './libraries.ts';
import { packageFolderOf } from './report.ts';

export interface NoticesInput {
  readonly metafile: Metafile;
  /** Folder of the pinned runtime's package. */
  readonly runtimeFolder: string;
  readonly runtimeVersion: string;
  readonly libraries: Libraries;
}

export function renderNotices({ metafile, runtimeFolder, runtimeVersion, libraries }: NoticesInput): string {
  return [
    'nodecni contains or comes with the following works of others.\n',
    section(`Node.js ${runtimeVersion}`, readFileSync(join(runtimeFolder, 'LICENSE'), 'utf8')),
    ...bundledPackages(metafile).map(packageSection),
    section(libraryNames.join(', '), libraryNotice(libraries)),
  ].join('\n');
}

/** Folders of the packages that left code in the bundle. */
function bundledPackages(metafile: Metafile): readonly string[] {
  const folders = Object.keys(metafile.inputs).flatMap((path) => packageFolderOf(path)?.folder ?? []);
  return [...new Set(folders)].sort();
}

function packageSection(folder: string): string {
  const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, unknown>;
  const licence = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
  // Redistributing without the text would break the licence itself.
  if (licence === undefined) throw new Error(`cannot write THIRD-PARTY-NOTICES: package "${name}" has no licence file`);
  return section(`${name} ${version}`, readFileSync(join(folder, licence), 'utf8'));
}

function libraryNotice({ origin, copyright }: Libraries): string {
  const text = copyright === undefined ? '' : readFileSync(copyright, 'utf8');
  return `Unmodified GCC runtime libraries, ${origin}.
Licensed under GPL-3.0-or-later with the GCC Runtime Library Exception 3.1.

${text}`;
}

function section(title: string, text: string): string {
  const rule = '='.repeat(80);
  return `${rule}\n${title}\n${rule}\n\n${text.trimEnd()}\n`;
}
