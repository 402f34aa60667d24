import { expect, test } from 'vitest';
import { randomHex } from '../../../../lib/linux/random.ts';

test('randomHex() has two lower-case digits per byte and differs each time', () => {
  const texts = Array.from({ length: 100 }, () => randomHex(8));
  expect(texts.every((text) => /^[0-9a-f]{16}$/.test(text))).toBe(true);
  expect(new Set(texts).size).toBe(100);
});
