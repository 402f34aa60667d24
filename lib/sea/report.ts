/** Bytes in the bundle per npm package, from esbuild's metafile. */

import type { Metafile } from 'esbuild';

export interface BundleShare {
  /** `nodecni` for our own code. */
  readonly name: string;
  readonly bytes: number;
}

const ownName = 'nodecni';

/** Biggest first. */
export function sharesOf(metafile: Metafile): readonly BundleShare[] {
  const bytesByName = new Map<string, number>();
  for (const output of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(output.inputs)) {
      const name = packageFolderOf(path)?.name ?? ownName;
      bytesByName.set(name, (bytesByName.get(name) ?? 0) + bytesInOutput);
    }
  }
  return [...bytesByName].map(([name, bytes]) => ({ name, bytes })).sort((a, b) => b.bytes - a.bytes);
}

/** The package that a bundled file belongs to, also one nested in another's node_modules. */
export function packageFolderOf(path: string): { readonly name: string; readonly folder: string } | undefined {
  const found = /^(?<before>.*node_modules\/)(?<name>@[^/]+\/[^/]+|[^/]+)\//.exec(path)?.groups;
  const name = found?.name;
  return name === undefined ? undefined : { name, folder: `${found?.before ?? ''}${name}` };
}

export function renderReport(shares: readonly BundleShare[]): string {
  const total = shares.reduce((sum, { bytes }) => sum + bytes, 0);
  const lines = [...shares, { name: 'total', bytes: total }];
  return lines.map(({ name, bytes }) => `${name.padEnd(24)} ${String(bytes).padStart(9)}\n`).join('');
}
