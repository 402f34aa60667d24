/** What the build stamps into the bundle. Run from source, neither constant exists. */

declare const __BUILD_ID__: string;
declare const __VERSION__: string;

/** 32 hex digits that name one build: equal in two processes exactly when they run the same code. */
export const buildId = typeof __BUILD_ID__ === 'string' ? __BUILD_ID__ : 'source';

/** The version in package.json. */
export const version = typeof __VERSION__ === 'string' ? __VERSION__ : 'dev';
