/** Has V8 forget what it compiled so far: all that ran while the executable was built and will run never again. */

/** What the runtime runs at its start, in the build and in the executable alike. */
interface PreExecution {
  prepareMainThreadExecution(expandArgv1: boolean, initializeModules: boolean): void;
}

/**
 * A function has its bytecode in the snapshot when it was compiled, for whatever reason. From here on, only what runs
 * again has: the runtime's start, which is run here once more, and whatever the caller runs. Nothing is forgotten where the
 * runtime does not let us at its start (without `--expose-internals`): the executable would compile that at each start.
 */
export function forgetCompiled(): void {
  const start: unknown = process.getBuiltinModule('internal/process/pre_execution');
  if (start === undefined) return;
  const v8 = process.getBuiltinModule('node:v8');
  // Garbage is then all bytecode that nothing executes, too.
  v8.setFlagsFromString('--stress-flush-code');
  collectGarbage();
  v8.setFlagsFromString('--no-stress-flush-code');
  (start as PreExecution).prepareMainThreadExecution(false, false);
}

/** V8 does that before it counts, whatever it is told to count. */
export function collectGarbage(): void {
  process.getBuiltinModule('node:v8').queryObjects(Object, { format: 'count' });
}
