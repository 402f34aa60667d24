/** Telling the story: numbered steps, what is done in them, and what that proves. */

let steps = 0;

export function step(title: string): void {
  steps += 1;
  say(`\n${steps}. ${title}`);
}

export function did(what: string): void {
  say(`     ${what}`);
}

/** Says what holds, or ends the story with what does not. */
export function prove(holds: boolean, claim: string, found: string): void {
  if (!holds) throw new Error(`not so: ${claim}\n     found: ${found}`);
  say(`   ✓ ${claim}`);
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
