/**
 * The executable's entry, plus a report on fd 3 of the built-in modules that a call loaded at run time. Bundled and
 * snapshotted by ./module-report-build.ts: the product itself carries no such hook.
 */
import { writeSync } from 'node:fs';
import v8 from 'node:v8';
import '../../plugins/main.ts';

v8.startupSnapshot.addSerializeCallback(() => {
  const inSnapshot = new Set(moduleLoadList());
  process.on('exit', () => {
    if (v8.startupSnapshot.isBuildingSnapshot()) return;
    writeSync(3, JSON.stringify(moduleLoadList().filter((name) => !inSnapshot.has(name))));
  });
});

/** Undocumented, and the only place that knows. */
function moduleLoadList(): readonly string[] {
  return (process as unknown as { readonly moduleLoadList: readonly string[] }).moduleLoadList;
}
