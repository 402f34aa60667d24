/** Tables for README and terminal. */

import { expect, test } from 'vitest';
import { renderTable } from '../../support/markdown.ts';

const rows = [
  ['what', 'n'],
  ['a', '1,000'],
  ['longer', '2'],
];

test('renderTable() puts numbers at the right', () => {
  expect(`\n${renderTable(rows, 'numbers')}\n`).toBe(`
| what   |     n |
| ------ | ----: |
| a      | 1,000 |
| longer |     2 |
`);
});

test('renderTable() puts words at the left', () => {
  expect(`\n${renderTable(rows, 'words')}\n`).toBe(`
| what   | n     |
| ------ | ----- |
| a      | 1,000 |
| longer | 2     |
`);
});
