/** The runtime's own modules and native parts, which it lets us have while the snapshot is built (`--expose-internals`). */

/** Module of the runtime, by its id as in `process.moduleLoadList`. */
export function internalModule<T>(id: string): T {
  const module: unknown = process.getBuiltinModule(`internal/${id}`);
  if (module === undefined)
    throw new Error(`the runtime does not let us have internal/${id} while the snapshot is built`);
  return module as T;
}

/** Functions that the runtime has in C++. */
export function nativePart<T>(name: string): T {
  return internalModule<{ internalBinding(name: string): T }>('test/binding').internalBinding(name);
}
