/** Snapshots ./module-report.ts with the pinned runtime, as the build snapshots the product. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { stampBuildId } from '../../lib/sea/build-id.ts';
import { bundle } from '../../lib/sea/bundle.ts';
import { trailerOf } from '../../lib/sea/trailer.ts';

const BUILD_ID = '0'.repeat(32);

export interface ReportingCall {
  /** The name to be called by. */
  readonly name: string;
  /** Path of the network namespace to run in. */
  readonly netns: string;
  readonly env: Readonly<Record<string, string>>;
  readonly input: string;
}

export interface ReportedCall {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Built-in modules that were loaded after the start. */
  readonly loaded: readonly string[];
}

export interface ReportingExecutable {
  /** A folder for CNI_PATH, in which the delegates count as this very build. */
  readonly bin: string;
  call(call: ReportingCall): ReportedCall;
}

export async function buildReportingExecutable(folder: string): Promise<ReportingExecutable> {
  const { code } = await bundle('test/support/module-report.ts', 'test');
  const bin = `${folder}/bin`;
  mkdirSync(bin, { recursive: true });
  writeFileSync(`${folder}/main.cjs`, stampBuildId(code, BUILD_ID));
  for (const name of ['bridge', 'host-local']) appendFileSync(`${bin}/${name}`, trailerOf(BUILD_ID));
  const blob = `${folder}/main.blob`;
  const options = { encoding: 'utf8', stdio: 'pipe', timeout: 60_000 } as const;
  const built = spawnSync(
    process.execPath,
    ['--expose-internals', '--snapshot-blob', blob, '--build-snapshot', `${folder}/main.cjs`],
    options,
  );
  if (built.status !== 0) throw new Error(`cannot snapshot the reporting executable: ${built.stderr}`);
  return {
    bin,
    call({ name, netns, env, input }) {
      const command = [process.execPath, '--snapshot-blob', blob, '--no-warnings'];
      const args = [`--net=${netns}`, '/bin/bash', '-c', 'exec -a "$0" "$@"', name, ...command];
      const stdio = ['pipe', 'pipe', 'pipe', 'pipe'] as const;
      const { status, stdout, stderr, output } = spawnSync('/usr/bin/nsenter', args, {
        ...options,
        stdio: [...stdio],
        env,
        input,
      });
      return { status, stdout, stderr, loaded: JSON.parse(output[3] ?? '[]') as string[] };
    },
  };
}
