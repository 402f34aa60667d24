/**
 * Makes the runtime deaf to environment variables that it would obey without being asked, and that no option turns off:
 * whoever calls a plugin must not make it write coverage files, print its internals or refuse to start.
 */

/** Read through getenv(3) by native code, or as a property of process.env by the runtime's own scripts. */
export const deafTo = [
  'NODE_CHANNEL_FD',
  'NODE_COMPILE_CACHE',
  'NODE_DEBUG_NATIVE',
  'NODE_ICU_DATA',
  'NODE_REPL_EXTERNAL_MODULE',
  'NODE_USE_ENV_PROXY',
  'NODE_USE_SYSTEM_CA',
  'NODE_V8_COVERAGE',
] as const;

/**
 * Puts `=` in the place of each name's first letter wherever it stands in the finished executable, the snapshot
 * included: a name that holds one cannot be set by setenv(3) or a shell. Refuses an image that lacks a name: it then
 * reads the variable some other way.
 */
export function makeDeaf(image: Buffer): void {
  for (const name of deafTo) {
    const places = placesOf(image, name);
    if (places.length === 0) throw new Error(`cannot make the runtime deaf to ${name}: its image lacks that string`);
    for (const at of places) image.write('=', at, 'latin1');
  }
}

function placesOf(image: Buffer, text: string): number[] {
  const places: number[] = [];
  for (let at = image.indexOf(text, 0, 'latin1'); at >= 0; at = image.indexOf(text, at + 1, 'latin1')) places.push(at);
  return places;
}
