/**
 * At each start the runtime asks V8 for positions in the source that are fit for CPU profiles: V8 then walks the whole heap
 * for functions that lack them. Nobody profiles a plugin, and an error's stack finds its positions by itself.
 */

import { offsetOfSymbol } from './symbol.ts';

/** `v8::CpuProfiler::UseDetailedSourcePositionsForProfiling`, which returns nothing, as the compiler names it. */
const request = '_ZN2v811CpuProfiler38UseDetailedSourcePositionsForProfilingEPNS_7IsolateE';

/** Lets the request return at once in a runtime that was not stripped. `returnCode` is the processor's instruction. */
export function ignorePositionRequest(image: Buffer, returnCode: Uint8Array): void {
  image.set(returnCode, offsetOfSymbol(image, request));
}
