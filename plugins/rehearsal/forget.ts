/** Has V8 forget what it compiled so far: all that ran while the executable was built and will run never again. */
import { queryObjects, setFlagsFromString } from 'node:v8';

/**
 * A function has its bytecode in the snapshot when it was compiled, for whatever reason. From here on, only what runs
 * again has.
 */
export function forgetCompiled(): void {
  // Garbage is then all bytecode that nothing executes, too.
  setFlagsFromString('--stress-flush-code');
  collectGarbage();
  setFlagsFromString('--no-stress-flush-code');
}

/** V8 does that before it counts, whatever it is told to count. */
export function collectGarbage(): void {
  queryObjects(Object, { format: 'count' });
}
