/** `make build`: dist/bin from the sources, or one line when it is there already. */

import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { archOf, runPathOf } from './arch.ts';
import { buildIdOf, libraryIdOf, stampBuildId } from './build-id.ts';
import { bundle } from './bundle.ts';
import { fail, say } from './command.ts';
import { runtimeFlags, seaConfig, withExecutable } from './executable.ts';
import { findLibraries } from './libraries.ts';
import { executableNames, libraryFolder } from './names.ts';
import { renderNotices } from './notices.ts';
import { place } from './place.ts';
import { renderReport, sharesOf } from './report.ts';
import { readBuildId } from './trailer.ts';

const arch = archOf(process.arch);
const runtimeFolder = join('node_modules', arch.runtimePackage);
const runtime = join(runtimeFolder, 'bin/node');

await build(process.argv[2] ?? 'plugins/main.ts', process.argv[3] ?? 'dist').catch(fail);

async function build(entry: string, dist: string): Promise<void> {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  mkdirSync('.cache/libraries', { recursive: true });
  const libraries = findLibraries(arch, '.cache/libraries', runtime);
  const { code, metafile } = await bundle(entry, version);
  const libraryId = libraryIdOf(libraries.files.map(({ path }) => readFileSync(path)));
  const runPath = runPathOf(arch, libraryId);
  const buildId = buildIdOf([code, runPath, ...recipe()]);
  const bin = join(dist, 'bin');
  if (isBuilt(bin, buildId, libraryId)) return say(`build: ${bin} is up to date (${version}, build ${buildId})`);

  say('build: snapshotting the bundle into the executable, some 10 seconds');
  mkdirSync(dist, { recursive: true });
  const notices = renderNotices({ metafile, runtimeFolder, runtimeVersion: process.version, libraries });
  writeFileSync(join(dist, 'THIRD-PARTY-NOTICES'), notices);
  writeFileSync(join(dist, 'bundle-report.txt'), renderReport(sharesOf(metafile)));
  // Of the build before; nobody executes what is in dist/ meanwhile.
  rmSync(join(bin, libraryFolder), { recursive: true, force: true });
  withExecutable({ arch, code: stampBuildId(code, buildId), buildId, runtime, runPath }, (executable) => {
    place({ executable, libraries: [{ id: libraryId, files: libraries.files }], notices: [] }, bin);
  });
  sayWhatWasBuilt(bin, dist, `${version}, build ${buildId}`);
}

/** What decides the executable besides the bundle: the runtime, its flags and this very folder. */
function recipe(): readonly string[] {
  const scripts = readdirSync(import.meta.dirname).sort();
  return [
    process.version,
    process.arch,
    JSON.stringify([seaConfig, runtimeFlags]),
    ...scripts.map((name) => readFileSync(join(import.meta.dirname, name), 'utf8')),
  ];
}

function isBuilt(bin: string, buildId: string, libraryId: string): boolean {
  if (!existsSync(join(bin, libraryFolder, libraryId))) return false;
  return executableNames.every((name) => readBuildId(join(bin, name)) === buildId);
}

function sayWhatWasBuilt(bin: string, dist: string, what: string): void {
  const megabytes = Math.round(lstatSync(join(bin, 'bridge')).size / 1e6);
  say(`build: ${bin}/{${executableNames.join(',')}} (one file, ${megabytes} MB, ${what}); bytes in the bundle:`);
  say(readFileSync(join(dist, 'bundle-report.txt'), 'utf8').trimEnd());
}
