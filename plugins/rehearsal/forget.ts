/** Has V8 forget what it compiled so far: all that ran while the executable was built and will run never again. */

/**
 * A function has its bytecode in the snapshot when it was compiled, for whatever reason. From here on, only what runs
 * again has.
 */
export function forgetCompiled(): void {
  const v8 = process.getBuiltinModule('node:v8');
  // Garbage is then all bytecode that nothing executes, too.
  v8.setFlagsFromString('--stress-flush-code');
  collectGarbage();
  v8.setFlagsFromString('--no-stress-flush-code');
}

/** V8 does that before it counts, whatever it is told to count. */
export function collectGarbage(): void {
  process.getBuiltinModule('node:v8').queryObjects(Object, { format: 'count' });
}
