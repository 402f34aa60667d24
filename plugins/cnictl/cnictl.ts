/** Placeholder until written. */
export async function runCnictl(_args: readonly string[]): Promise<never> {
  process.exit(1);
}
