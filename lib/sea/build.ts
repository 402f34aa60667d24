/** `make build`: dist/bin from the sources, or one line when it is there already. */

import {
  closeSync,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { archOf, runPathOf } from './arch.ts';
import { buildIdOf, stampBuildId } from './build-id.ts';
import { bundle } from './bundle.ts';
import { fail, say } from './command.ts';
import { runtimeFlags, seaConfig, withExecutable } from './executable.ts';
import { findLibraries, type Libraries } from './libraries.ts';
import { executableNames, libraryFolder } from './names.ts';
import { renderNotices } from './notices.ts';
import { place } from './place.ts';
import { renderReport, sharesOf } from './report.ts';
import { readTrailer, trailerLength } from './trailer.ts';

const arch = archOf(process.arch);
const runtimeFolder = join('node_modules', arch.runtimePackage);
const runtime = join(runtimeFolder, 'bin/node');

await build(process.argv[2] ?? 'plugins/main.ts', process.argv[3] ?? 'dist').catch(fail);

async function build(entry: string, dist: string): Promise<void> {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  mkdirSync('.cache/libraries', { recursive: true });
  const libraries = findLibraries(arch, '.cache/libraries', runtime);
  const { code, metafile } = await bundle(entry, version);
  const buildId = buildIdOf([code, ...recipe(), ...libraries.files.map(({ path }) => readFileSync(path))]);
  const bin = join(dist, 'bin');
  if (isBuilt(bin, buildId, libraries)) return say(`build: ${bin} is up to date (${version}, build ${buildId})`);

  say('build: snapshotting the bundle into the executable, some 10 seconds');
  mkdirSync(dist, { recursive: true });
  const notices = renderNotices({ metafile, runtimeFolder, runtimeVersion: process.version, libraries });
  writeFileSync(join(dist, 'THIRD-PARTY-NOTICES'), notices);
  writeFileSync(join(dist, 'bundle-report.txt'), renderReport(sharesOf(metafile)));
  withExecutable({ code: stampBuildId(code, buildId), buildId, runtime, arch }, (executable) => {
    place({ executable, libraries: libraries.files }, bin);
  });
  sayWhatWasBuilt(bin, dist, `${version}, build ${buildId}`);
}

/** What decides the executable besides the bundle: the runtime, its flags and this very folder. */
function recipe(): readonly string[] {
  const scripts = readdirSync(import.meta.dirname).sort();
  return [
    process.version,
    process.arch,
    runPathOf(arch),
    JSON.stringify([seaConfig, runtimeFlags]),
    ...scripts.map((name) => readFileSync(join(import.meta.dirname, name), 'utf8')),
  ];
}

function isBuilt(bin: string, buildId: string, libraries: Libraries): boolean {
  if (executableNames.some((name) => !existsSync(join(bin, name)))) return false;
  if (libraries.files.some(({ name }) => !existsSync(join(bin, libraryFolder, name)))) return false;
  return executableNames.every((name) => readTrailer(tailOf(join(bin, name))) === buildId);
}

function tailOf(path: string): string {
  const fd = openSync(path, 'r');
  try {
    const tail = Buffer.alloc(trailerLength);
    readSync(fd, tail, 0, trailerLength, Math.max(0, fstatSync(fd).size - trailerLength));
    return tail.toString('latin1');
  } finally {
    closeSync(fd);
  }
}

function sayWhatWasBuilt(bin: string, dist: string, what: string): void {
  const megabytes = Math.round(lstatSync(join(bin, 'bridge')).size / 1e6);
  say(`build: ${bin}/{${executableNames.join(',')}} (one file, ${megabytes} MB, ${what}); bytes in the bundle:`);
  say(readFileSync(join(dist, 'bundle-report.txt'), 'utf8').trimEnd());
}
