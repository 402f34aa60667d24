/** What each part of the bench is: it measures, and shows what it found as tables and plots. */

export interface Part<D> {
  /** What it returns goes into JSON and back. */
  readonly measure: (options: BenchOptions) => D | Promise<D>;
  readonly render: (data: D) => readonly Section[];
}

/** In the repository. */
export const RESULTS_FOLDER = 'test/bench/results';

export interface BenchOptions {
  /** How often every contestant takes its turn; a slow part takes fewer. */
  readonly rounds: number;
}

export interface Section {
  readonly heading: string;
  /** First the titles, then the rows. */
  readonly rows: readonly (readonly string[])[];
  /** A line or two on how to read it. */
  readonly note: string;
  /** Its path in the repository, and its text. */
  readonly plot?: { readonly path: string; readonly svg: string };
}
