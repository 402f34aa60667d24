/** The one variable of the runtime's image that changes, found by its symbol. */

import { expect, test } from 'vitest';
import { ignoreDeadlocks } from '../../../../lib/sea/deadlock-check.ts';
import { number32, number64 } from './layout.ts';

const mode = '_ZN4absl12_GLOBAL__N_124synch_deadlock_detectionE.0';

test('ignoreDeadlocks() changes the mode from kAbort to kIgnore and nothing else', () => {
  const image = imageWith({ symbol: mode, value: 2 });
  ignoreDeadlocks(image);
  expect(image).toEqual(imageWith({ symbol: mode, value: 0 }));
});

test('ignoreDeadlocks() refuses a variable that holds something else', () => {
  expect(() => ignoreDeadlocks(imageWith({ symbol: mode, value: 1 }))).toThrow('its mode is 1, not 2');
});

test('ignoreDeadlocks() refuses an image without the variable', () => {
  expect(() => ignoreDeadlocks(imageWith({ symbol: `x${mode}`, value: 2 }))).toThrow('among the symbols');
  expect(() => ignoreDeadlocks(stripped())).toThrow('the file is stripped');
});

const headLength = 0x40;
const data = { address: 0x7000, before: Buffer.alloc(12, 1), after: Buffer.alloc(4, 1) };

/** An ELF file with a data section that holds `value` as the second of two variables, the first under another name. */
function imageWith({ symbol, value }: { symbol: string; value: number }): Buffer {
  const names = Buffer.from(`\0other\0${symbol}\0`, 'latin1');
  const symbols = Buffer.concat([
    symbolEntry(1, data.address),
    symbolEntry(1 + 'other\0'.length, data.address + data.before.length),
  ]);
  const contents = [Buffer.concat([data.before, number32(value), data.after]), symbols, names];
  return elf(contents, [
    { type: 1, address: data.address, link: 0 },
    { type: 2, address: 0, link: 3 },
    { type: 3, address: 0, link: 0 },
  ]);
}

function stripped(): Buffer {
  return elf([data.before], [{ type: 1, address: data.address, link: 0 }]);
}

function symbolEntry(name: number, value: number): Buffer {
  const section = Buffer.from([1, 0]);
  return Buffer.concat([number32(name), Buffer.alloc(2), section, number64(value), number64(4)]);
}

function elf(contents: readonly Buffer[], heads: readonly { type: number; address: number; link: number }[]): Buffer {
  let offset = headLength;
  const table = heads.map(({ type, address, link }, index) => {
    const size = contents[index]?.length ?? 0;
    const head = [number32(0), number32(type), number64(0), number64(address), number64(offset), number64(size)];
    offset += size;
    return Buffer.concat([...head, number32(link), Buffer.alloc(20)]);
  });
  const head = Buffer.alloc(headLength);
  head.writeBigUInt64LE(BigInt(offset), 0x28);
  head.writeUInt16LE(64, 0x3a);
  head.writeUInt16LE(heads.length + 1, 0x3c);
  return Buffer.concat([head, ...contents, Buffer.alloc(64), ...table]);
}
