/** The one variable of the runtime's image that changes, found by its symbol. */

import { expect, test } from 'vitest';
import { ignoreDeadlocks } from '../../../../lib/sea/deadlock-check.ts';
import { imageWith, stripped } from './elf.ts';
import { number32 } from './layout.ts';

const mode = '_ZN4absl12_GLOBAL__N_124synch_deadlock_detectionE.0';

test('ignoreDeadlocks() changes the mode from kAbort to kIgnore and nothing else', () => {
  const image = imageWith({ symbol: mode, contents: number32(2) });
  ignoreDeadlocks(image);
  expect(image).toEqual(imageWith({ symbol: mode, contents: number32(0) }));
});

test('ignoreDeadlocks() refuses a variable that holds something else', () => {
  expect(() => ignoreDeadlocks(imageWith({ symbol: mode, contents: number32(1) }))).toThrow('its mode is 1, not 2');
});

test('ignoreDeadlocks() refuses an image without the variable', () => {
  expect(() => ignoreDeadlocks(imageWith({ symbol: `x${mode}`, contents: number32(2) }))).toThrow('among the symbols');
  expect(() => ignoreDeadlocks(stripped())).toThrow('the file is stripped');
});
