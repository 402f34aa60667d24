/** What is said of one intended difference, for readers and for the comparisons that allow it. */

export interface Difference {
  /** The three columns of README's table, Markdown. */
  readonly where: string;
  readonly reference: string;
  readonly nodecni: string;
  /** Makes the same of what both sides left behind, in the configurations that say so. */
  readonly even?: (lines: readonly string[], section: string) => readonly string[];
  /** The reference's CHECK fails, in the configurations that say so. */
  readonly failedCheck?: true;
  /** Ours fails, of what the reference made. */
  readonly failedCheckOfTheirs?: true;
  /** The reference's DEL fails, the first time. */
  readonly failedDel?: true;
  /** Verbs that are answered in another way. */
  readonly answers?: readonly Answer[];
  /** Pairs of error codes for the same wrong input: the reference's, ours. */
  readonly codes?: readonly (readonly [theirs: number, ours: number])[];
  /** Inputs that only one of the two refuses: `what` of ./wrong-inputs.ts and test/e2e/bad-input. */
  readonly inputs?: readonly string[];
}

export interface Answer {
  readonly plugin: string;
  readonly verb: string;
  readonly versions: readonly string[];
  /** Error code of each side; undefined for success. */
  readonly ours: number | undefined;
  readonly theirs: number | undefined;
}

/** Replaces in every line. */
export function replaced(pattern: RegExp, replacement: string): NonNullable<Difference['even']> {
  return (lines) => lines.map((line) => line.replace(pattern, replacement));
}

/** Leaves out whole lines. */
export function without(pattern: RegExp): NonNullable<Difference['even']> {
  return (lines) => lines.filter((line) => !pattern.test(line));
}

/** Leaves out iptables' table `raw`, in which the reference has nothing. */
export function withoutRaw(lines: readonly string[]): readonly string[] {
  const start = lines.indexOf('*raw');
  return start === -1 ? lines : lines.toSpliced(start, lines.indexOf('COMMIT', start) - start + 1);
}
