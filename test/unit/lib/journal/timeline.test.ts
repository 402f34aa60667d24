import { expect, test } from 'vitest';
import { Timeline } from '../../../../lib/journal/timeline.ts';

test('spans() accounts for every moment: children, and between them the step it was in', () => {
  const timeline = new Timeline();
  timeline.step('read');
  idle();
  const ended = timeline.child('ip -batch -');
  idle();
  ended('0');
  idle();
  timeline.step('undo');
  idle();
  const spans = timeline.spans(timeline.nowMs());
  expect(spans.map(({ what, ending }) => [what, ending])).toEqual([
    ['start', undefined],
    ['read', undefined],
    ['ip -batch -', '0'],
    ['read', undefined],
    ['undo', undefined],
  ]);
  expectNoGaps(spans);
});

test('spans() copes with children that run side by side', () => {
  const timeline = new Timeline();
  const first = timeline.child('first');
  idle();
  const second = timeline.child('second');
  idle();
  second('1');
  idle();
  first('0');
  expect(timeline.children.map(({ what }) => what)).toEqual(['second', 'first']);
  const spans = timeline.spans(timeline.nowMs());
  expect(spans.map(({ what }) => what).slice(0, 3)).toEqual(['start', 'first', 'second']);
});

/** Long enough for two readings of the clock to differ after rounding. */
function idle(): void {
  const until = process.hrtime.bigint() + 200_000n;
  while (process.hrtime.bigint() < until);
}

function expectNoGaps(spans: readonly { readonly atMs: number; readonly ms: number }[]): void {
  let endMs = 0;
  for (const { atMs, ms } of spans) {
    expect(atMs).toBeCloseTo(endMs, 1);
    endMs = atMs + ms;
  }
}
