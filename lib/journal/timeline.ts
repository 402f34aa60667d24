/** When a call did what, in milliseconds since its process was started, by a clock that nobody can set. */

export interface Span {
  /** A step's name, or a child's command line. */
  readonly what: string;
  readonly atMs: number;
  readonly ms: number;
  /** How the child ended; absent where it was no child. */
  readonly ending?: string;
}

export class Timeline {
  readonly #startNs: bigint;
  readonly #steps: { readonly what: string; readonly atMs: number }[] = [{ what: 'start', atMs: 0 }];
  readonly #children: Span[] = [];

  constructor() {
    this.#startNs = process.hrtime.bigint() - BigInt(Math.round(process.uptime() * 1e9));
  }

  /** Children that have ended, in the order of their ends. */
  get children(): readonly Span[] {
    return this.#children;
  }

  nowMs(): number {
    return rounded(Number(process.hrtime.bigint() - this.#startNs) / 1e6);
  }

  step(what: string): void {
    this.#steps.push({ what, atMs: this.nowMs() });
  }

  /** To be called with how it ended, when it has ended. */
  child(what: string): (ending: string) => Span {
    const atMs = this.nowMs();
    return (ending) => {
      const span = { what, atMs, ms: rounded(this.nowMs() - atMs), ending };
      this.#children.push(span);
      return span;
    };
  }

  /**
   * Every millisecond up to `endMs`: the children, which may run beside each other, and where there is none our own code
   * under the name of the step it was in.
   */
  spans(endMs: number): Span[] {
    const spans: Span[] = [];
    let seenMs = 0;
    for (const child of this.#children.toSorted((a, b) => a.atMs - b.atMs)) {
      spans.push(...this.#own(seenMs, child.atMs), child);
      seenMs = Math.max(seenMs, child.atMs + child.ms);
    }
    return [...spans, ...this.#own(seenMs, endMs)];
  }

  #own(fromMs: number, toMs: number): Span[] {
    const parts = this.#steps.map(({ what, atMs }, index) => {
      const begin = Math.max(atMs, fromMs);
      const end = Math.min(this.#steps[index + 1]?.atMs ?? toMs, toMs);
      return { what, atMs: rounded(begin), ms: rounded(end - begin) };
    });
    return parts.filter(({ ms }) => ms > 0);
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}
