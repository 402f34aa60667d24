import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeAll } from '../../../../lib/linux/write-all.ts';

test('writeAll() writes every byte, and says when nobody can read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'write-all-'));
  const path = join(folder, 'out');
  const text = 'ä'.repeat(100_000);
  const fd = openSync(path, 'w');
  expect(writeAll(fd, text)).toBe(true);
  closeSync(fd);
  expect(readFileSync(path, 'utf8')).toBe(text);
  const reader = openSync(path, 'r');
  expect(writeAll(reader, text)).toBe(false);
  closeSync(reader);
  rmSync(folder, { recursive: true });
});
