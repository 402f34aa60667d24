/** What the build writes into the executable; sources that run unbuilt say so. */
declare const __BUILD_ID__: string;
declare const __VERSION__: string;

/** 32 hex digits, the same for every copy of one build; also the last bytes of the executable. */
export const buildId = typeof __BUILD_ID__ === 'string' ? __BUILD_ID__ : 'source';
export const version = typeof __VERSION__ === 'string' ? __VERSION__ : 'dev';
