/** Takes off the heap what the runtime keeps there for any program and no plugin asks for: each start would copy it. */
import { internalModule } from './internals.ts';

interface Builtin {
  readonly loaded: boolean;
}

/** The class of the runtime's own modules, which has all of them in a list. */
interface Builtins {
  readonly map: Map<string, Builtin>;
  new (id: string): Builtin;
  /** Leaves no module to code that is not the runtime's, but for `ids`. */
  setRealmAllowRequireByUsers(ids: readonly string[]): void;
  allowRequireByUsers(id: string): void;
}

/** The last step of a build: no other module can be asked for afterwards than lib/linux/libc.ts does. */
export function shed(): void {
  const path = internalModule<{ loadBuiltinModule(id: string): object }>('modules/helpers').loadBuiltinModule('path');
  const builtins = path.constructor as unknown as Builtins;
  listOnDemand(builtins);
  // How the runtime was compiled.
  Reflect.deleteProperty(process, 'config');
  // The values of its options in the build; asked again where one is wanted.
  internalModule<{ refreshOptions(): void }>('options').refreshOptions();
  replaceBufferPool();
  builtins.setRealmAllowRequireByUsers([]);
  builtins.allowRequireByUsers('ffi');
}

/** Of 440 modules, 320 are not loaded and only have an entry in the list, with an object or two: it gets one when asked for. */
function listOnDemand(builtins: Builtins): void {
  const { map } = builtins;
  for (const [id, { loaded }] of map) if (!loaded) map.delete(id);
  const get = (id: string) => {
    const known = Map.prototype.get.call(map, id) as Builtin | undefined;
    if (known !== undefined) return known;
    const builtin = new builtins(id);
    map.set(id, builtin);
    return builtin;
  };
  Object.defineProperty(map, 'get', { value: get });
}

/** The snapshot would hold all 64 KiB from which small buffers are cut. The first one at run time makes a new pool. */
function replaceBufferPool(): void {
  const { poolSize } = Buffer;
  const { buffer: pool } = Buffer.allocUnsafe(1);
  Buffer.poolSize = 8;
  // Each takes eight bytes, until the pool is used up and a small one takes its place.
  while (Buffer.allocUnsafe(1).buffer === pool);
  Buffer.poolSize = poolSize;
}
