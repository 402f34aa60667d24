/** Rehearsals while a snapshot is built: one that fails takes the build with it, and none leaves a way to the internals. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { stampBuildId } from '../../../../lib/sea/build-id.ts';
import { bundle } from '../../../../lib/sea/bundle.ts';

const plugins = `${import.meta.dirname}/../../../../plugins`;

test('a call that does not go well fails the build', async () => {
  const ended = await snapshot(`
    import { rehearse } from '${plugins}/rehearsal/rehearse.ts';
    void rehearse(async () => process.exit(1));`);
  expect(ended.status).not.toBe(0);
  expect(ended.stderr).toContain('the rehearsal of ADD of bridge (first) failed');
});

test('once it is over, the runtime’s modules cannot be asked for any more, and nothing of the stage is left', async () => {
  const ended = await snapshot(`
    import { writeSync } from 'node:fs';
    import { startupSnapshot } from 'node:v8';
    import '${plugins}/main.ts';
    startupSnapshot.addSerializeCallback(() => {
      const ids = ['node:fs', 'internal/options', 'internal/test/binding'];
      writeSync(1, JSON.stringify(ids.filter((id) => process.getBuiltinModule(id) !== undefined)));
    });`);
  expect(ended).toEqual({ status: 0, stderr: '', stdout: '[]', left: [] });
});

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Files in the folder for temporary ones. */
  readonly left: readonly string[];
}

/** Builds a snapshot of `entry` as the executable's is built. */
async function snapshot(entry: string): Promise<Ended> {
  const folder = mkdtempSync(`${tmpdir()}/nodecni-test-`);
  try {
    writeFileSync(`${folder}/entry.ts`, entry);
    const { code } = await bundle(`${folder}/entry.ts`, 'test');
    writeFileSync(`${folder}/main.cjs`, stampBuildId(code, '0'.repeat(32)));
    rmSync(`${folder}/entry.ts`);
    const args = ['--expose-internals', '--no-warnings', '--snapshot-blob', 'blob', '--build-snapshot', 'main.cjs'];
    const options = { cwd: folder, env: { TMPDIR: folder }, encoding: 'utf8' } as const;
    const { status, stdout, stderr } = spawnSync(process.execPath, args, options);
    const left = readdirSync(folder).filter((name) => name !== 'main.cjs' && name !== 'blob');
    return { status, stdout, stderr, left };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
