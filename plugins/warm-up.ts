/** Runs the code of a usual call once while the snapshot is built, so that its bytecode is in the snapshot. */
export function warmUp(): void {}
