/** esbuild: all of our code and its packages as one CommonJS text. */

import { build, type Metafile } from 'esbuild';
import { buildIdPlaceholder } from './build-id.ts';
import { synchronousExeca } from './execa.ts';

export interface Bundle {
  /** Still with `buildIdPlaceholder` in it. */
  readonly code: string;
  readonly metafile: Metafile;
}

export async function bundle(entry: string, version: string): Promise<Bundle> {
  const result = await build({
    entryPoints: [entry],
    outfile: 'main.cjs',
    write: false,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node26',
    // V8 14.6 crashes on a `using` declaration that runs while a snapshot is built.
    supported: { using: false },
    // Blanks and long names would be carried in the snapshot's heap; a stack trace is never shown.
    minify: true,
    legalComments: 'none',
    // A failure is thrown with the same words.
    logLevel: 'silent',
    metafile: true,
    plugins: [synchronousExeca],
    define: { __VERSION__: JSON.stringify(version), __BUILD_ID__: JSON.stringify(buildIdPlaceholder) },
  });
  const [output] = result.outputFiles;
  if (output === undefined) throw new Error(`cannot bundle "${entry}": esbuild wrote nothing`);
  return { code: output.text, metafile: result.metafile };
}
