/** The one function of the runtime's image that changes, found by its symbol. */

import { expect, test } from 'vitest';
import { archOf } from '../../../../lib/sea/arch.ts';
import { ignorePositionRequest } from '../../../../lib/sea/source-positions.ts';
import { imageWith } from './elf.ts';

const symbol = '_ZN2v811CpuProfiler38UseDetailedSourcePositionsForProfilingEPNS_7IsolateE';

test.each([
  { name: 'x64', changed: 'c3' },
  { name: 'arm64', changed: 'c0035fd6' },
])('ignorePositionRequest() has the function return at once on $name', ({ name, changed }) => {
  const image = imageWith({ symbol, contents: Buffer.alloc(8, 0x55) });
  ignorePositionRequest(image, archOf(name).returnCode);
  expect(image).toEqual(imageWith({ symbol, contents: Buffer.from(changed.padEnd(16, '5'), 'hex') }));
});

test('ignorePositionRequest() refuses an image without the function', () => {
  const image = imageWith({ symbol: `x${symbol}`, contents: Buffer.alloc(8) });
  expect(() => ignorePositionRequest(image, archOf('x64').returnCode)).toThrow('among the symbols');
});
