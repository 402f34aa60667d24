/** The trace of `"trace": "FILE"`: where each millisecond of a call went, one line of JSON per call. */
import type { CniError } from '../cni/errors.ts';
import type { Head } from './head.ts';
import { appendLine, openLineFile } from './line-file.ts';
import type { Span } from './timeline.ts';

export interface Traced {
  readonly atMs: number;
  readonly pid: number;
  readonly head: Head;
  readonly ms: number;
  readonly error: CniError | undefined;
  /** Without a gap, from the start of the process. */
  readonly spans: readonly Span[];
}

/** Throws system errors. */
export function writeTrace(path: string, traced: Traced): void {
  appendLine(openLineFile(path), renderTrace(traced));
}

function renderTrace({ atMs, pid, head, ms, error, spans }: Traced): string {
  return JSON.stringify({ at: new Date(atMs).toISOString(), pid, ...head, ms, code: error?.code ?? 0, spans });
}
