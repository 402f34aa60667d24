/**
 * The three libraries that the runtime needs and a host may lack. Ours come from Debian 11, whose copies run on
 * every glibc the runtime itself runs on; those of a newer build machine would not.
 */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Arch } from './arch.ts';
import { run, say } from './command.ts';
import { debianPackages, debianPool } from './debian-packages.ts';

export interface Library {
  readonly name: string;
  readonly path: string;
}

export interface Libraries {
  readonly files: readonly Library[];
  /** One sentence for THIRD-PARTY-NOTICES. */
  readonly origin: string;
  /** Copyright file, when there is one. */
  readonly copyright: string | undefined;
}

export const libraryNames = ['libatomic.so.1', 'libstdc++.so.6', 'libgcc_s.so.1'] as const;

/** apt's own downloader: it knows the machine's mirror and proxy, and checks the sum. */
const aptHelper = '/usr/lib/apt/apt-helper';
/** As root it would become a user who cannot write to our cache; and a build without network should not wait long. */
const aptOptions = ['APT::Sandbox::User=root', 'Acquire::Retries=0', 'Acquire::http::Timeout=10'];

/** Debian 11's libraries if they can be had, else this machine's, with a line that says what that costs. */
export function findLibraries(arch: Arch, cache: string, runtime: string): Libraries {
  try {
    return debianLibraries(arch, cache);
  } catch (error) {
    const libraries = machineLibraries(runtime);
    const glibc = newestGlibc(libraries.files.map(({ path }) => path));
    say(
      `libraries: this machine's own, so hosts without libatomic need glibc ${glibc} (Debian 11's: ${reason(error)})`,
    );
    return libraries;
  }
}

function debianLibraries(arch: Arch, cache: string): Libraries {
  const root = join(cache, `debian-11-${arch.debian}`);
  if (!existsSync(root)) unpackInto(root, arch, cache);
  const folders = ['lib', 'usr/lib'].flatMap((base) =>
    arch.systemFolders.map((folder) => join(base, lastPart(folder))),
  );
  return {
    files: libraryNames.map((name) => ({
      name,
      path: firstExisting(folders.map((folder) => join(root, folder, name))),
    })),
    origin: `taken from Debian 11, source package gcc-10 10.2.1-6 (${debianPool})`,
    copyright: join(root, 'usr/share/doc/gcc-10-base/copyright'),
  };
}

function unpackInto(root: string, arch: Arch, cache: string): void {
  const mirror = mirrorInUse();
  const draft = `${root}.${process.pid}`;
  mkdirSync(draft, { recursive: true });
  try {
    for (const { file, sha256 } of debianPackages[arch.debian]) {
      const archive = join(cache, file);
      fetchFile(`${mirror}/${debianPool}/${file}`, archive, sha256);
      run('dpkg-deb', ['-x', archive, draft]);
    }
    renameSync(draft, root);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Asks apt rather than naming a host: the machine may use a mirror of its own. */
function mirrorInUse(): string {
  try {
    return mirrorKnown();
  } catch {
    // A fresh image comes without package lists.
    run('apt-get', ['-qq', 'update']);
    return mirrorKnown();
  }
}

function mirrorKnown(): string {
  const uri = /'(?<mirror>[^']+)\/pool\//.exec(run('apt-get', ['download', '--print-uris', 'libstdc++6']));
  const mirror = uri?.groups?.mirror;
  if (mirror === undefined) throw new Error('apt names no mirror');
  return mirror;
}

function fetchFile(uri: string, path: string, sha256: string): void {
  if (existsSync(path) && sha256Of(path) === sha256) return;
  rmSync(path, { force: true });
  run(aptHelper, [...aptOptions.flatMap((option) => ['-o', option]), 'download-file', uri, path, `SHA256:${sha256}`]);
}

function machineLibraries(runtime: string): Libraries {
  const listing = run('ldd', [runtime]);
  const files = libraryNames.map((name) => ({ name, path: realpathSync(pathIn(listing, name)) }));
  const copyright = '/usr/share/doc/libstdc++6/copyright';
  return {
    files,
    origin: 'taken from the build machine',
    copyright: existsSync(copyright) ? copyright : undefined,
  };
}

function pathIn(listing: string, name: string): string {
  const line = listing.split('\n').find((each) => each.trim().startsWith(`${name} => /`));
  const path = line?.split(' => ')[1]?.split(' ')[0];
  if (path === undefined)
    throw new Error(`cannot find ${name} on this machine: install libatomic1, libstdc++6 and libgcc-s1`);
  return path;
}

/** Newest glibc version whose symbols any of the files asks for, e.g. `2.36`. */
function newestGlibc(paths: readonly string[]): string {
  const symbols = paths.map((path) => run('objdump', ['-T', path])).join('');
  const minors = [...symbols.matchAll(/\bGLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
  return `2.${Math.max(...minors)}`;
}

function firstExisting(paths: readonly string[]): string {
  const found = paths.find((path) => existsSync(path));
  if (found === undefined) throw new Error(`none of ${paths.join(', ')} is in the packages`);
  return realpathSync(found);
}

function sha256Of(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function lastPart(path: string): string {
  return path.split('/').at(-1) ?? path;
}

/** apt's first error line, else the first line there is. */
function reason(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split('\n');
  return lines.find((line) => line.startsWith('E: ')) ?? lines[0] ?? '';
}
