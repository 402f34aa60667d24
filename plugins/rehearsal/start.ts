/** What runs between the runtime's native start and our main function. */
import { nativePart } from './internals.ts';

interface Snapshots {
  setDeserializeMainFunction(main: () => void): void;
}

interface Processes {
  /** Sets argv, execPath, pid, title and the like. */
  patchProcessObject(process: object): void;
}

/**
 * Has a process that starts from the snapshot begin with `main`. The runtime's own way there prepares for any program, in
 * forty steps that are off for a plugin or that no plugin asks for: console, module loaders, inspector, permissions,
 * warnings, and the variables by which a parent makes a process its worker. Of them is left what makes `process` the one
 * of this very process.
 */
export function startWith(main: () => void): void {
  const { setDeserializeMainFunction } = nativePart<Snapshots>('mksnapshot');
  const { patchProcessObject } = nativePart<Processes>('process_methods');
  // We write to the descriptor; but each socket that closes looks whether it is this one, and would have it made.
  Object.defineProperty(process, 'stderr', { value: undefined, configurable: true });
  let next = () => {};
  const start = () => {
    patchProcessObject(process);
    const value = process.argv[0];
    Object.defineProperty(process, 'argv0', { value, configurable: true, enumerable: true });
    process.argv[0] = process.execPath;
    next();
  };
  // Once here, too: what ran need not be compiled at each start.
  start();
  next = main;
  setDeserializeMainFunction(start);
}
