/** What each part of the bench hands over: a table for people, the same as data, and plots. */

export interface Section {
  readonly heading: string;
  /** First the titles, then the rows. */
  readonly rows: readonly (readonly string[])[];
  /** A line or two on how to read it. */
  readonly note: string;
  /** For `--json`. */
  readonly data: unknown;
  /** SVG texts by file name. */
  readonly plots?: Readonly<Record<string, string>>;
}

export interface BenchOptions {
  /** How often every contestant takes its turn; a slow part takes fewer. */
  readonly rounds: number;
}
